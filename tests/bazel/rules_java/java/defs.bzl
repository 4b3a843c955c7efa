"""What jvm_maven_import_external loads, without what the real rules_java brings along."""

def java_import(name, jars, **_rest):
    native.filegroup(name = name, srcs = jars, visibility = ["//visibility:public"])
