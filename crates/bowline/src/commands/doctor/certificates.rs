//! Certificates of Roles Anywhere: readable, of one pair with their keys, and not about to end.

use bowline_awsfiles::RolesAnywhere;
use bowline_base::{Fault, Timestamp, utc};
use bowline_credentials::certificate::{Life, Standing};
use bowline_host::Check;

use super::{Patient, ids, verdict::*};

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let setup = &patient.world.setup;
    let wanted = |identity: &&RolesAnywhere| patient.profile.as_ref().is_none_or(|name| *name == identity.name);
    let identities: Vec<&RolesAnywhere> = setup.identities.iter().filter(wanted).collect();
    let (now, mut checks) = (patient.now(), Vec::new());
    for identity in &identities {
        let standing = Standing::look(identity, &setup.environment, now);
        checks.extend(judge(identity, &standing, now));
    }
    or_ok(checks, ids::CERTIFICATES_PAIR, || "no identity here has a certificate".to_owned())
}

fn judge(identity: &RolesAnywhere, standing: &Result<Standing, Fault>, now: Timestamp) -> Vec<Check> {
    let standing = match standing {
        Ok(standing) => standing,
        Err(fault) => return vec![from_fault(ids::CERTIFICATES_PAIR, fault)],
    };
    let file = identity.certificate.display();
    let pair = match &standing.flaw {
        Some(flaw) => from_fault(ids::CERTIFICATES_PAIR, flaw),
        None => ok(ids::CERTIFICATES_PAIR, format!("`{}`: `{file}` and its key belong together", identity.name)),
    };
    [Some(pair), Some(end(identity, standing)), chain(identity, standing, now)].into_iter().flatten().collect()
}

fn end(identity: &RolesAnywhere, standing: &Standing) -> Check {
    let id = ids::CERTIFICATES_END;
    let (file, ends, begins) = (identity.certificate.display(), utc(standing.ends), utc(standing.begins));
    let fix = standing.life.advice(&identity.certificate);
    match standing.life {
        Life::Good => ok(id, format!("`{file}` is good until {ends}")),
        Life::Ending => {
            let why = format!("`{file}` ends {ends}: less than a third of its life is left");
            degraded(id, why, fix.unwrap_or_default())
        }
        Life::Ended => failed(id, format!("`{file}` ended {ends}"), fix),
        Life::NotYet => failed(id, format!("`{file}` is not good before {begins}"), fix),
    }
}

/// Whether the chain leads to the trust anchor is known to AWS alone; that it does not end first is known here.
fn chain(identity: &RolesAnywhere, standing: &Standing, now: Timestamp) -> Option<Check> {
    let (id, ends) = (ids::CERTIFICATES_CHAIN, standing.above_ends?);
    let file = identity.intermediates.as_ref().unwrap_or(&identity.certificate).display();
    let fix = format!("ask your CA for its new certificate and put it into `{file}`");
    Some(if ends < now {
        failed(id, format!("a certificate above it in `{file}` ended {}", utc(ends)), Some(fix))
    } else if ends < standing.ends {
        degraded(id, format!("a certificate above it in `{file}` ends before it: {}", utc(ends)), fix)
    } else {
        ok(id, format!("{} between it and the trust anchor, good until {}", standing.above, utc(ends)))
    })
}

#[cfg(test)]
mod tests {
    use bowline_base::Kind;
    use bowline_host::Verdict;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn judged(now: i64, above_ends: Option<i64>, flaw: Option<Fault>) -> Vec<(String, Verdict)> {
        let identity = RolesAnywhere {
            name: "site".to_owned(),
            certificate: "site.pem".into(),
            intermediates: None,
            private_key: None,
            password: None,
            trust_anchor: String::new(),
            profile: String::new(),
            role: String::new(),
            session_name: None,
            duration: None,
            region: None,
            edition: None,
        };
        let (begins, ends) = (at(0), at(300));
        let life = Life::of(begins, ends, at(now));
        let standing = Standing { begins, ends, life, above: 1, above_ends: above_ends.map(at), flaw };
        judge(&identity, &Ok(standing), at(now)).into_iter().map(|check| (check.id, check.verdict)).collect()
    }

    fn of<'a>(checks: &'a [(String, Verdict)], id: &str) -> Option<&'a Verdict> {
        checks.iter().find(|(known, _)| known == id).map(|(_, verdict)| verdict)
    }

    #[test]
    fn the_end_is_good_then_degraded_then_failed() {
        let verdict = |now| *of(&judged(now, None, None), "certificates.end").unwrap();
        assert_eq!(
            [-1, 100, 250, 301].map(verdict),
            [Verdict::Failed, Verdict::Ok, Verdict::Degraded, Verdict::Failed]
        );
    }

    #[test]
    fn a_chain_that_ends_first_is_told() {
        let verdict = |above| of(&judged(100, above, None), "certificates.chain").copied();
        assert_eq!(
            [None, Some(400), Some(200), Some(50)].map(verdict),
            [None, Some(Verdict::Ok), Some(Verdict::Degraded), Some(Verdict::Failed)]
        );
    }

    #[test]
    fn what_aws_would_refuse_is_the_pair_s_failure() {
        let flaw = Fault::new(Kind::Config, "x509", "`site.pem` has the certificate of a CA").hint("point elsewhere");
        assert_eq!(of(&judged(100, None, Some(flaw)), "certificates.pair"), Some(&Verdict::Failed));
    }
}
