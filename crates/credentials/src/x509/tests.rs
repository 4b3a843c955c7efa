//! Every form of key and certificate, made by the real `openssl` and used through [`Files`]; `openssl` judges the signatures.

use std::path::PathBuf;

use bowline_aws::rolesanywhere::Signer as _;
use bowline_awsfiles::RolesAnywhere;
use bowline_base::{Fault, Secret, Timestamp};
use sha2::Digest as _;

use super::{
    Digest, Files, NoPair, Pair,
    openssl::{Ca, ISSUER, LEAF, P256},
    test_signature,
};

const RSA_2048: &str = "genrsa 2048";
const RSA_4096: &str = "genrsa 4096";
const P384: &str = "ecparam -name secp384r1 -genkey -noout";
const P521: &str = "ecparam -name secp521r1 -genkey -noout";
const PASSWORD: &str = "correct horse ü";

fn identity(certificate: PathBuf, private_key: Option<PathBuf>) -> RolesAnywhere {
    RolesAnywhere {
        name: "site".to_owned(),
        certificate,
        intermediates: None,
        private_key,
        password: None,
        trust_anchor: String::new(),
        profile: String::new(),
        role: String::new(),
        session_name: None,
        duration: None,
        region: None,
        edition: None,
    }
}

fn now() -> Timestamp {
    bowline_host::clock::now().wall
}

fn load(identity: &RolesAnywhere, password: Option<&str>) -> Result<Pair, Fault> {
    let password = password.map(Secret::new);
    Ok(Files::read(identity, password.as_ref())?.pair(identity, password.as_ref(), now())?)
}

fn of(ca: &Ca, certificate: &str, key: &str, password: Option<&str>) -> Result<Pair, Fault> {
    load(&identity(ca.path(certificate), Some(ca.path(key))), password)
}

/// `openssl dgst -verify` takes the signature.
fn check_signature(ca: &Ca, pair: &Pair, certificate: &str) {
    ca.write("message", "AWS4-X509\nto sign");
    ca.write("signature", pair.sign(b"AWS4-X509\nto sign").unwrap());
    ca.write("public", ca.run(&format!("x509 -in {certificate} -noout -pubkey")));
    let said = ca.run("dgst -sha256 -verify public -signature signature message");
    assert_eq!(said.trim(), "Verified OK", "{certificate}");
}

fn refused(result: Result<Pair, Fault>) -> (String, String) {
    let fault = result.err().expect("it is refused");
    (fault.chain(), fault.hint.unwrap_or_default())
}

#[test]
fn every_kind_of_key_signs_what_openssl_believes() {
    let ca = Ca::new();
    for (name, make) in [("r2", RSA_2048), ("r4", RSA_4096), ("p256", P256), ("p384", P384), ("p521", P521)] {
        ca.issue(name, make, LEAF);
        let pair = of(&ca, &format!("{name}.pem"), &format!("{name}.key"), None).unwrap();
        for _ in 0..4 {
            check_signature(&ca, &pair, &format!("{name}.pem"));
        }
    }
}

#[test]
fn test_signatures_of_every_key_and_digest_are_believed_by_openssl() {
    let ca = Ca::new();
    let public_bytes = |point: Option<usize>| match point {
        Some(length) => {
            ca.run("ec -in p.key -pubout -outform DER -out public.der");
            let der = ca.bytes("public.der");
            der[der.len() - length..].to_vec()
        }
        None => {
            ca.run("rsa -in p.key -RSAPublicKey_out -outform DER -out public.der");
            ca.bytes("public.der")
        }
    };
    let kinds: [(&str, Option<usize>); 4] = [(RSA_2048, None), (P256, Some(65)), (P384, Some(97)), (P521, Some(133))];
    for (make, point) in kinds {
        ca.key("p", make);
        let owner = sha2::Sha256::digest([&b"IAM RA"[..], &public_bytes(point)].concat());
        let text = [&b"AWS Roles Anywhere Credential Helper Signing Test1"[..], owner.as_slice()].concat();
        ca.write("message", text);
        ca.run("pkey -in p.key -pubout -out public");
        for (digest, option) in [(Digest::Sha256, "sha256"), (Digest::Sha384, "sha384"), (Digest::Sha512, "sha512")] {
            ca.write("signature", test_signature(&ca.path("p.key"), None, digest).unwrap());
            let said = ca.run(&format!("dgst -{option} -verify public -signature signature message"));
            assert_eq!(said.trim(), "Verified OK", "{make} {option}");
        }
    }
}

#[test]
fn every_form_of_every_key_is_read() {
    let ca = Ca::new();
    for (name, make, old) in
        [("rsa", RSA_2048, "rsa -traditional"), ("p256", P256, "ec"), ("p384", P384, "ec"), ("p521", P521, "ec")]
    {
        ca.issue(name, make, LEAF);
        ca.run(&format!("{old} -in {name}.key -out old.key"));
        ca.run(&format!("pkcs8 -topk8 -nocrypt -in {name}.key -out new.key"));
        ca.run(&format!("pkcs8 -topk8 -nocrypt -in {name}.key -outform DER -out der.key"));
        let label = if name == "rsa" { "RSA PRIVATE KEY" } else { "EC PRIVATE KEY" };
        assert!(ca.text("old.key").contains(label) && ca.text("new.key").contains("BEGIN PRIVATE KEY"));
        for file in ["old.key", "new.key", "der.key"] {
            let pair = of(&ca, &format!("{name}.pem"), file, None).unwrap();
            check_signature(&ca, &pair, &format!("{name}.pem"));
        }
    }
}

#[test]
fn a_key_may_come_after_its_parameters_and_without_its_public_half() {
    let ca = Ca::new();
    ca.issue("p", "ecparam -name prime256v1 -genkey", LEAF);
    assert!(ca.text("p.key").starts_with("-----BEGIN EC PARAMETERS-----"));
    ca.run("ec -in p.key -no_public -out short.key");
    for file in ["p.key", "short.key"] {
        check_signature(&ca, &of(&ca, "p.pem", file, None).unwrap(), "p.pem");
    }
}

#[test]
fn encrypted_keys_are_opened_with_every_cipher_and_every_way_from_the_password() {
    let ca = Ca::new();
    ca.issue("p", P256, LEAF);
    ca.write("pass", PASSWORD);
    let mut forms = vec!["-scrypt".to_owned()];
    for cipher in ["aes-128-cbc", "aes-192-cbc", "aes-256-cbc"] {
        for prf in ["hmacWithSHA1", "hmacWithSHA256", "hmacWithSHA384", "hmacWithSHA512"] {
            forms.push(format!("-v2 {cipher} -v2prf {prf}"));
        }
    }
    for form in forms {
        ca.run(&format!("pkcs8 -topk8 {form} -passout file:pass -in p.key -out enc.key"));
        let pair =
            of(&ca, "p.pem", "enc.key", Some(PASSWORD)).unwrap_or_else(|fault| panic!("{form}: {}", fault.chain()));
        check_signature(&ca, &pair, "p.pem");
        let (wrong, _) = refused(of(&ca, "p.pem", "enc.key", Some("wrong")));
        assert!(wrong.ends_with("enc.key` cannot be decrypted: the password is wrong"), "{form}: {wrong}");
    }
    let (what, fix) = refused(of(&ca, "p.pem", "enc.key", None));
    assert!(what.contains("no password for it") && fix.contains("password ="), "{what}");
}

#[test]
fn pkcs12_is_opened_in_its_new_and_its_old_form_with_its_chain() {
    let ca = Ca::new();
    ca.key("inter", P256);
    ca.certify("inter", ISSUER, "ca", "-sha256 -days 30");
    ca.key("p", RSA_2048);
    ca.certify("p", LEAF, "inter", "-sha256 -days 30");
    ca.write("chain", format!("{}{}", ca.text("ca.pem"), ca.text("inter.pem")));
    ca.write("pass", PASSWORD);
    let export = "pkcs12 -export -in p.pem -inkey p.key -certfile chain -passout file:pass -out p.p12";
    for form in [
        "",
        "-legacy",
        "-legacy -keypbe PBE-SHA1-RC2-128 -certpbe PBE-SHA1-RC2-40",
        "-macalg sha512",
        "-legacy -certpbe PBE-SHA1-2DES",
        "-nomac",
    ] {
        ca.run(&format!("{export} {form}"));
        let file = identity(ca.path("p.p12"), None);
        let pair = load(&file, Some(PASSWORD)).unwrap_or_else(|fault| panic!("{form}: {}", fault.chain()));
        check_signature(&ca, &pair, "p.pem");
        assert_eq!(pair.chain().len(), 1, "{form}");
        let (what, _) = refused(load(&file, Some("wrong")));
        assert!(form == "-nomac" || what.ends_with("cannot be decrypted: the password is wrong"), "{form}: {what}");
    }
    ca.run("pkcs12 -export -in p.pem -inkey p.key -passout pass: -out empty.p12");
    load(&identity(ca.path("empty.p12"), None), None).unwrap();
}

#[test]
fn a_chain_in_any_order_is_repaired_and_the_root_left_out() {
    let ca = Ca::new();
    for (name, issuer) in [("one", "ca"), ("two", "one")] {
        ca.key(name, P256);
        ca.certify(name, ISSUER, issuer, "-sha256 -days 30");
    }
    ca.key("p", P384);
    ca.certify("p", LEAF, "two", "-sha256 -days 30");
    let [leaf, one, two, root] = ["p.pem", "one.pem", "two.pem", "ca.pem"].map(|name| ca.text(name));
    let wanted = ["two", "one"].map(|name| {
        ca.run(&format!("x509 -in {name}.pem -outform DER -out {name}.der"));
        ca.bytes(&format!("{name}.der"))
    });
    for text in [[&root, &one, &leaf, &two], [&leaf, &two, &one, &root], [&one, &two, &root, &leaf]] {
        ca.write("full.pem", text.map(String::as_str).join("# a comment\n"));
        assert_eq!(of(&ca, "full.pem", "p.key", None).unwrap().chain(), wanted);
    }
    ca.write("apart.pem", format!("{one}{two}"));
    let apart = RolesAnywhere {
        intermediates: Some(ca.path("apart.pem")),
        ..identity(ca.path("p.pem"), Some(ca.path("p.key")))
    };
    assert_eq!(load(&apart, None).unwrap().chain(), wanted);
}

#[test]
fn the_serial_is_the_number_that_openssl_prints() {
    let ca = Ca::new();
    ca.issue("p", P256, LEAF);
    assert!(ca.run("x509 -in p.pem -noout -serial").trim().ends_with("=8F00000000000000000000000000000000000001"));
    // Python: int("8F00000000000000000000000000000000000001", 16)
    assert_eq!(of(&ca, "p.pem", "p.key", None).unwrap().serial(), "816385680227809051965339574525111218010931068929");
}

#[test]
fn what_aws_would_refuse_is_told_with_the_file_and_the_fix() {
    let ca = Ca::new();
    let without_usage = "basicConstraints=CA:FALSE\n";
    let wrong_usage = "basicConstraints=CA:FALSE\nkeyUsage=keyEncipherment\n";
    ca.key("p", RSA_2048);
    for (extensions, options, what, fix) in [
        (ISSUER, "-sha256 -days 30", "certificate of a CA", "basicConstraints=CA:FALSE"),
        (without_usage, "-sha256 -days 30", "may not sign", "keyUsage=critical,digitalSignature"),
        (wrong_usage, "-sha256 -days 30", "may not sign", "keyUsage=critical,digitalSignature"),
        (LEAF, "-sha1 -days 30", "signed with SHA-1", "-sha256"),
        (LEAF, "-sha256 -days 0", "that ended", "renew"),
    ] {
        ca.certify("p", extensions, "ca", options);
        if options.contains("-days 0") {
            let file = identity(ca.path("p.pem"), Some(ca.path("p.key")));
            let later = now() + std::time::Duration::from_secs(2);
            let Err(NoPair::Fault(fault)) = Files::read(&file, None).unwrap().pair(&file, None, later) else {
                panic!()
            };
            assert!(fault.message.contains(what) && fault.hint.unwrap().contains(fix), "{}", fault.message);
            continue;
        }
        let (said, hint) = refused(of(&ca, "p.pem", "p.key", None));
        assert!(said.contains("p.pem`") && said.contains(what) && hint.contains(fix), "{said} / {hint}");
    }
}

#[test]
fn a_key_of_another_pair_names_both_files() {
    let ca = Ca::new();
    for (one, other) in [(P256, P256), (RSA_2048, RSA_2048), (P384, P384), (P521, P521), (P256, P384)] {
        ca.issue("a", one, LEAF);
        ca.issue("b", other, LEAF);
        let file = identity(ca.path("a.pem"), Some(ca.path("b.key")));
        let Err(NoPair::Mismatch(fault)) = Files::read(&file, None).unwrap().pair(&file, None, now()) else {
            panic!("{one}")
        };
        assert!(
            fault.message.contains("b.key` does not belong to the certificate in") && fault.message.contains("a.pem`")
        );
    }
}

#[test]
fn what_cannot_be_used_is_told_with_the_command_that_helps() {
    let ca = Ca::new();
    ca.issue("p", RSA_2048, LEAF);
    ca.run("rsa -in p.key -traditional -aes128 -passout pass:x -out old.key");
    ca.key("ed", "genpkey -algorithm ed25519");
    ca.issue("small", "genrsa 1024", LEAF);
    ca.write("none.key", "hello\n");
    ca.write("tpm.key", "-----BEGIN TSS2 PRIVATE KEY-----\nMAA=\n-----END TSS2 PRIVATE KEY-----\n");
    for (certificate, key, what, fix) in [
        ("p.pem", "old.key", "`Proc-Type: 4,ENCRYPTED`", "openssl pkcs8 -topk8 -v2 aes-256-cbc -in /"),
        ("p.pem", "ed.key", "neither RSA nor", "openssl ecparam"),
        ("small.pem", "small.key", "cannot be used", "2048 to 4096 bits"),
        ("p.pem", "none.key", "neither a key nor a certificate", "PEM"),
        ("p.pem", "p.pem", "no private key", "private-key"),
        ("p.key", "p.key", "no certificate", "BEGIN CERTIFICATE"),
        ("p.pem", "tpm.key", "the key of a TPM", "a key that is a file"),
        ("p.pem", "absent.key", "cannot read", "ls -l"),
    ] {
        let (said, hint) = refused(of(&ca, certificate, key, Some("x")));
        assert!(said.contains(what) && hint.contains(fix), "{key}: {said} / {hint}");
    }
}

#[test]
fn the_last_third_of_a_certificates_life_is_told() {
    let ca = Ca::new();
    ca.issue("p", P256, LEAF);
    let pair = of(&ca, "p.pem", "p.key", None).unwrap();
    let day = |days: u64| now() + std::time::Duration::from_secs(86400 * days);
    assert_eq!(pair.ends_soon(day(19)), None);
    assert_eq!(pair.ends_soon(day(21)).map(|left| left.as_secs().div_ceil(86400)), Some(9));
    assert!(pair.is_valid(day(29)) && !pair.is_valid(day(31)));
}
