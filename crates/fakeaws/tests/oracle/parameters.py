"""botocore's model of Parameter Store against the fake; called by models.py with its own checks."""


def ssm_checks(check, fails, client, fake):
    ssm = client("ssm")
    put = lambda name, **more: ssm.put_parameter(Name=f"/oracle/{name}", Value=name, **{"Type": "String", **more})
    check("a first version", put("a")["Version"] == 1)
    check("a second version", put("a", Overwrite=True)["Version"] == 2)
    fails("taken", "ParameterAlreadyExists", put, 400, name="a")
    fails("another type", "HierarchyTypeMismatchException", put, 400, name="a", Type="SecureString", Overwrite=True)
    long = {"Name": "/oracle/long", "Type": "String"}
    fails("too long", "ValidationException", ssm.put_parameter, 400, Value="x" * 4097, **long)
    put("sealed", Type="SecureString")
    one = ssm.get_parameter(Name="/oracle/sealed")["Parameter"]
    check("sealed stays sealed", one["Type"] == "SecureString" and one["Value"] != "sealed", one)
    one = ssm.get_parameter(Name="/oracle/sealed", WithDecryption=True)["Parameter"]
    check("opened", one["Value"] == "sealed" and one["LastModifiedDate"].year > 2000, one)
    fails("missing", "ParameterNotFound", ssm.get_parameter, 400, Name="/oracle/none")
    for number in range(12):
        put(f"users/u{number:02}/status")
    pages = list(ssm.get_paginator("get_parameters_by_path").paginate(Path="/oracle", Recursive=True, WithDecryption=True))
    names = [parameter["Name"] for page in pages for parameter in page["Parameters"]]
    check("pages of ten", [len(page["Parameters"]) for page in pages] == [10, 4], names)
    check("all of them once", len(set(names)) == 14, names)
    flat = ssm.get_parameters_by_path(Path="/oracle/")["Parameters"]
    check("not recursive", [parameter["Name"] for parameter in flat] == ["/oracle/a", "/oracle/sealed"], flat)
    fails("pages of eleven", "ValidationException", ssm.get_parameters_by_path, 400, Path="/oracle", MaxResults=11)
    gone = ssm.delete_parameters(Names=["/oracle/a", "/oracle/none"])
    check("deleted", gone["DeletedParameters"] == ["/oracle/a"] and gone["InvalidParameters"] == ["/oracle/none"], gone)
    ssm.delete_parameter(Name="/oracle/sealed")
    fails("deleted twice", "ParameterNotFound", ssm.delete_parameter, 400, Name="/oracle/sealed")
    reader = {"Effect": "Allow", "Action": "ssm:GetParameter*", "Resource": "arn:aws:ssm:*:*:parameter/oracle*"}
    user = fake("users", {"name": "ssm-reader", "policies": [{"Version": "2012-10-17", "Statement": [reader]}]})
    limited = client("ssm", user["access_key_id"], user["secret_access_key"])
    put("sealed-again", Type="SecureString")
    check("may list", limited.get_parameters_by_path(Path="/oracle")["Parameters"] != [])
    opened = {"Name": "/oracle/sealed-again", "WithDecryption": True}
    fails("may not open", "AccessDeniedException", limited.get_parameter, 400, **opened)
    fails("may not write", "AccessDeniedException", limited.put_parameter, 400, Name="/oracle/x", Value="x", Type="String")
