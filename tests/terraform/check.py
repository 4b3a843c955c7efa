"""What `terraform validate` would say with the AWS provider at hand: `check.py FOLDER` prints each mistake and ends with 1.

Every resource, attribute, block and reference below FOLDER is held against schema.json, and every module call against the
module's variables and outputs.
"""

import json
import re
import sys
from pathlib import Path

import hcl2

META = {"count", "for_each", "depends_on", "provider", "lifecycle", "provisioner", "connection"}
AWS = re.compile(r"(?<![\w.\"])(data\.)?(aws_\w+)\.(\w+)(?:\[[^\]]*\])?(?:\.(\w+))?")
SPLAT = re.compile(r"(?<![\w.\"])(aws_\w+)\.(\w+)\[\*\]\.(\w+)")
OWN = re.compile(r"(?<![\w.])(var|local)\.(\w+)")
MODULE = re.compile(r"(?<![\w.])module\.(\w+)\.(\w+)")


def bare(name):
    """The parser leaves quotes on labels."""
    return name.strip('"')


def labelled(body, kind):
    """Blocks such as `variable "x" {}`: label and contents."""
    return [(bare(label), inner) for block in body.get(kind, []) for label, inner in block.items()]


class Folder:
    """One module."""

    def __init__(self, path):
        self.path = path
        self.files = sorted(path.glob("*.tf"))
        self.bodies = [hcl2.loads(file.read_text()) for file in self.files]

    def blocks(self, kind):
        """All blocks of a kind, by label."""
        return [found for body in self.bodies for found in labelled(body, kind)]

    def things(self, kind):
        """`resource`, `data`: type, name, contents."""
        return [(t, bare(name), body) for t, named in self.blocks(kind) for name, body in named.items()]

    def locals(self):
        """Names of local values."""
        return {name for body in self.bodies for block in body.get("locals", []) for name in block}

    def text(self):
        """Each file without comments."""
        for file in self.files:
            yield file.name, re.sub(r"(?m)^\s*#.*$|(?<=\s)#\s.*$", "", file.read_text())


def block_mistakes(where, body, level):
    """Names that the provider does not know, blocks written as attributes and the other way round, what is missing."""
    known, given = level["attributes"], set()
    for name, value in body.items():
        name = bare(name)
        if name.startswith("__") or name in META:
            continue
        if name == "dynamic":
            inner = [(bare(label), block["content"]) for one in value for label, block in one.items()]
        else:
            is_block = isinstance(value, list) and any(isinstance(one, dict) and "__is_block__" in one for one in value)
            inner = [(name, value if is_block else None)]
        for label, contents in inner:
            given.add(label)
            if label not in known:
                yield f"{where}: no `{label}`"
            elif bool(known[label]) != (contents is not None):
                yield f"{where}: `{label}` is {'a block' if known[label] else 'an attribute'}"
            else:
                for one in contents or []:
                    yield from block_mistakes(f"{where}.{label}", one, known[label])
    yield from (f"{where}: `{name}` is missing" for name in level["required"] if name not in given)


def reference_mistakes(folder, schema):
    """References to what is not there."""
    made = {("resource", t, n) for t, n, _ in folder.things("resource")}
    made |= {("data", t, n) for t, n, _ in folder.things("data")}
    own = {"var": {name for name, _ in folder.blocks("variable")}, "local": folder.locals()}
    for file, text in folder.text():
        text = re.sub(r'(?m)^(resource|data|ephemeral) .*$', "", text)
        found = [("data" if data else "resource", t, n, a) for data, t, n, a in AWS.findall(text)]
        found += [("resource", t, n, a) for t, n, a in SPLAT.findall(text)]
        for kind, t, name, attribute in found:
            if (kind, t, name) not in made:
                yield f"{folder.path}/{file}: there is no {kind} {t}.{name}"
            elif attribute and attribute not in schema[f"{kind} {t}"]["attributes"]:
                yield f"{folder.path}/{file}: {t} has no `{attribute}`"
        for kind, name in OWN.findall(text):
            if name not in own[kind]:
                yield f"{folder.path}/{file}: there is no {kind}.{name}"


def module_mistakes(folder, folders):
    """Calls that do not fit the module that is called."""
    called = {}
    for name, body in folder.blocks("module"):
        target = folders[(folder.path / bare(body["source"])).resolve()]
        called[name] = {output for output, _ in target.blocks("output")}
        variables = dict(target.blocks("variable"))
        given = {bare(key) for key in body if not key.startswith("__")} - META - {"source"}
        yield from (f"{folder.path}: module {name} has no variable `{key}`" for key in sorted(given - set(variables)))
        needed = {key for key, facts in variables.items() if "default" not in facts}
        yield from (f"{folder.path}: module {name} lacks `{key}`" for key in sorted(needed - given))
    for file, text in folder.text():
        for name, output in MODULE.findall(text):
            if output not in called.get(name, set()):
                yield f"{folder.path}/{file}: there is no module.{name}.{output}"


def main(root):
    """Checks every folder with Terraform files below `root`."""
    schema = json.loads(Path(__file__).with_name("schema.json").read_text())
    paths = sorted({file.parent.resolve() for file in Path(root).rglob("*.tf")})
    folders = {path: Folder(path) for path in paths}
    mistakes, resources = [], 0
    for folder in folders.values():
        for kind in ("resource", "data"):
            for t, name, body in folder.things(kind):
                if not t.startswith("aws_"):
                    continue
                resources += 1
                level = schema.get(f"{kind} {t}")
                if level is None:
                    mistakes.append(f"{folder.path}: {kind} {t} is not in used.txt: add it, then run schema.py")
                else:
                    mistakes += block_mistakes(f"{folder.path}: {t}.{name}", body, level)
        mistakes += reference_mistakes(folder, schema)
        mistakes += module_mistakes(folder, folders)
    print("\n".join(mistakes) or f"{resources} resources in {len(folders)} folders: no mistake")
    sys.exit(1 if mistakes or resources == 0 else 0)


if __name__ == "__main__":
    main(sys.argv[1])
