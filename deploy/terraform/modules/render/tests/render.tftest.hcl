# `terraform test` here needs no provider, no account and no network.

variables {
  name          = "ephem-vpn"
  environment   = "dev"
  region        = "us-east-1"
  account       = "111122223333"
  image         = "bowline:test"
  endpoint_host = "vpn.example.net"
  key_config = {
    ssm_prefix      = "ephem-vpn/"
    key_algorithm   = "curve25519"
    key_purpose     = "wireguard-server"
    regenerate_keys = false
  }
}

run "names_and_tags_tell_what_belongs_together" {
  variables {
    tags = { team = "network", environment = "mine" }
  }

  assert {
    condition     = output.names.service == "ephem-vpn-dev" && output.names.keygen == "ephem-vpn-dev-keygen"
    error_message = "Names are NAME-ENVIRONMENT and a part."
  }
  assert {
    condition     = output.tags.team == "network" && output.tags.environment == "dev"
    error_message = "Further tags are taken, and never over our own."
  }
  assert {
    condition     = output.endpoint == "vpn.example.net:51820" && output.api == "https://vpn.example.net:8000"
    error_message = "The predecessor's ports are the defaults."
  }
}

run "load_balancers_take_the_longest_names" {
  variables {
    name        = "abcdefghijklmnopq"
    environment = "staging1"
  }

  assert {
    condition     = length("${output.names.load_balancer}-proxy") <= 32 && length(output.names.execution_role) <= 64
    error_message = "A name is too long for AWS."
  }
}

run "the_prefix_is_the_same_with_and_without_slashes" {
  assert {
    condition     = output.paths.prefix == "/ephem-vpn" && output.paths.master_api_key == "/ephem-vpn/master-api-key"
    error_message = "The predecessor's layout: ${output.paths.master_api_key}"
  }
}

run "the_server_may_touch_its_own_parameters_and_nothing_else" {
  assert {
    condition = toset(flatten([
      for statement in jsondecode(output.server_policy).Statement : statement.Resource if startswith(statement.Action[0], "ssm:")
      ])) == toset([
      "arn:aws:ssm:us-east-1:111122223333:parameter/ephem-vpn",
      "arn:aws:ssm:us-east-1:111122223333:parameter/ephem-vpn/*",
      "arn:aws:ssm:us-east-1:111122223333:parameter/ephem-vpn/api/*",
      "arn:aws:ssm:us-east-1:111122223333:parameter/ephem-vpn/changes",
      "arn:aws:ssm:us-east-1:111122223333:parameter/ephem-vpn/invitations/*",
      "arn:aws:ssm:us-east-1:111122223333:parameter/ephem-vpn/users/*",
      "arn:aws:ssm:us-east-1:111122223333:parameter/ephem-vpn/wg/*",
    ])
    error_message = "SSM: ${output.server_policy}"
  }
  assert {
    condition     = alltrue([for action in ["ssm:GetParametersByPath", "kms:Decrypt"] : strcontains(output.server_policy, "\"${action}\"")])
    error_message = "The predecessor's policy lacked these: ${output.server_policy}"
  }
  assert {
    condition     = alltrue([for text in [output.server_policy, output.keygen_policy] : !strcontains(text, "\"*\"") && !strcontains(text, "iam:")])
    error_message = "A task's role names its resources."
  }
  assert {
    condition = alltrue([
      for statement in jsondecode(output.server_policy).Statement :
      statement.Condition.StringEquals["kms:ViaService"] == "ssm.us-east-1.amazonaws.com" if startswith(statement.Action[0], "kms:")
    ])
    error_message = "KMS only by way of SSM."
  }
}

run "the_key_task_writes_the_key_pair_and_no_user" {
  assert {
    condition     = strcontains(output.keygen_policy, "/ephem-vpn/wg/*") && !strcontains(output.keygen_policy, "/ephem-vpn/users/*")
    error_message = "Key task: ${output.keygen_policy}"
  }
}

run "other_partitions_and_own_keys_are_named" {
  variables {
    partition   = "aws-cn"
    region      = "cn-north-1"
    kms_key_arn = "arn:aws-cn:kms:cn-north-1:111122223333:key/1234"
  }

  assert {
    condition     = strcontains(output.server_policy, "arn:aws-cn:ssm:cn-north-1:111122223333:parameter/ephem-vpn/*")
    error_message = output.server_policy
  }
  assert {
    condition     = strcontains(output.server_policy, "key/1234") && !strcontains(output.server_policy, "key/*")
    error_message = output.server_policy
  }
}

run "only_tasks_of_this_account_become_the_roles" {
  assert {
    condition     = jsondecode(output.trust_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "111122223333"
    error_message = output.trust_policy
  }
}

run "a_task_has_no_root_no_capability_and_no_disk_to_write" {
  assert {
    condition = alltrue([
      for container in [jsondecode(output.server_container), jsondecode(output.keygen_container)] :
      container.user == "65532:65532" && container.readonlyRootFilesystem && !container.privileged &&
      jsonencode(container.linuxParameters.capabilities) == jsonencode({ add = [], drop = ["ALL"] })
    ])
    error_message = output.server_container
  }
  assert {
    condition     = jsondecode(output.server_container).systemControls[0].value == "65532 65532"
    error_message = "Ping through the tunnel: ${output.server_container}"
  }
  assert {
    condition     = jsondecode(output.server_container).ulimits[0].hardLimit == 65535
    error_message = "Every flow is a descriptor: ${output.server_container}"
  }
}

run "the_server_is_told_what_it_needs" {
  variables {
    proxy        = true
    egress_allow = ["10.0.0.0/16", "10.1.0.0/16"]
  }

  assert {
    condition = join(" ", jsondecode(output.server_container).command) == join(" ", [
      "vpn serve --listen 0.0.0.0:51820 --endpoint vpn.example.net:51820 --store ssm:/ephem-vpn --api 0.0.0.0:8000",
      "--proxy 0.0.0.0:3128 --egress-allow 10.0.0.0/16 --egress-allow 10.1.0.0/16",
    ])
    error_message = join(" ", jsondecode(output.server_container).command)
  }
  assert {
    condition     = length(jsondecode(output.server_container).portMappings) == 3 && output.ports.proxy == 3128
    error_message = output.server_container
  }
  assert {
    condition     = !strcontains(output.server_container, "secret") && !strcontains(output.server_container, "API_KEY")
    error_message = "No key stands in a task definition."
  }
}

run "another_key_configuration_has_another_hash" {
  assert {
    condition     = length(output.key_config_hash) == 64
    error_message = "SHA-256: ${output.key_config_hash}"
  }
  assert {
    condition = output.key_config_hash != sha256(jsonencode({
      ssm_prefix = "ephem-vpn/", key_algorithm = "curve25519", key_purpose = "wireguard-server", regenerate_keys = true
    }))
    error_message = "Regeneration must run the task again."
  }
}

run "mistakes_are_named_before_anything_is_made" {
  command = plan

  variables {
    name          = "Ephem_VPN"
    environment   = "a-b"
    account       = "1234"
    exposure      = "eip"
    endpoint_host = ""
    vpn_port      = 500
    egress_allow  = ["10.0.0.0"]
    api_allow     = ["0.0.0.0/0"]
    key_config = {
      ssm_prefix      = "/"
      key_algorithm   = "rsa"
      key_purpose     = "wireguard-server"
      regenerate_keys = false
    }
  }

  expect_failures = [
    var.name, var.environment, var.account, var.exposure, var.endpoint_host, var.vpn_port, var.egress_allow, var.api_allow,
    var.key_config,
  ]
}
