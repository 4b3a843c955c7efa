//! What puts everything back: the difference between what is there and what was. Data in, data out.
//!
//! What others have changed meanwhile stays: a laptop that came into another network has another default route now, and the
//! old one would lead nowhere.

use std::collections::BTreeMap;

use super::{
    record::Record,
    routing::{BEHIND_RULES, FIRST_RULE, Family, nowhere},
};

/// What `ip` shows before and after, by its arguments.
pub(super) fn questions() -> Vec<String> {
    let both = |what: &str| Family::BOTH.map(|family| format!("{} {what}", family.flag()));
    [both("rule show"), both("route show table main")].concat()
}

/// `ip` with each of these arguments, in this order.
pub(super) fn commands(record: &Record, now: &BTreeMap<String, String>, devices: &[String]) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    for family in Family::BOTH {
        let text = |what: &str| now.get(&format!("{} {what}", family.flag())).map_or("", String::as_str);
        let rules = text("rule show").lines().filter_map(|line| line.split(':').next()?.trim().parse().ok());
        let ours = rules.filter(|number: &u32| (FIRST_RULE..BEHIND_RULES).contains(number));
        commands.extend(ours.map(|number| words(family, &format!("rule del pref {number}"))));
        for table in [record.table, nowhere(record.table)] {
            commands.push(words(family, &format!("route flush table {table}")));
        }
        let before = record.before.get(&format!("{} route show table main", family.flag())).map_or("", String::as_str);
        let lost = lost_routes(before, text("route show table main"), devices, &record.interface);
        commands.extend(lost.into_iter().map(|route| words(family, &format!("route add {route}"))));
    }
    commands
}

/// Routes that are gone, whose device is still there, and in whose place there is no other.
fn lost_routes(before: &str, now: &str, devices: &[String], ours: &str) -> Vec<String> {
    let target = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let device = |line: &str| {
        let mut words = line.split_whitespace();
        words.find(|word| *word == "dev")?;
        words.next().map(str::to_owned)
    };
    let there: Vec<String> = now.lines().map(target).collect();
    let gone = before.lines().filter(|line| !there.contains(&target(line)));
    let usable = gone.filter(|line| device(line).is_some_and(|device| device != ours && devices.contains(&device)));
    let clean = |line: &str| {
        let words = line.split_whitespace().filter(|word| !["linkdown", "dead"].contains(word));
        words.collect::<Vec<_>>().join(" ")
    };
    usable.map(clean).collect()
}

fn words(family: Family, text: &str) -> Vec<String> {
    [family.flag()].into_iter().chain(text.split(' ')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::record::tests::record;

    const ROUTES: &str = "default via 192.168.1.1 dev eth0 proto dhcp metric 100 \n192.168.1.0/24 dev eth0 proto kernel scope link src 192.168.1.7 linkdown \n10.8.0.0/24 dev tun9 scope link\n";

    fn lines(rules: &str, routes: &str) -> Vec<String> {
        let mut record = record();
        record.before.insert("-4 route show table main".to_owned(), ROUTES.to_owned());
        let now = [("-4 rule show", rules), ("-4 route show table main", routes)];
        let now = now.map(|(question, text)| (question.to_owned(), text.to_owned())).into();
        let devices = ["lo", "eth0", "bowline0"].map(str::to_owned);
        commands(&record, &now, &devices).iter().map(|words| words.join(" ")).collect()
    }

    #[test]
    fn our_rules_and_our_table_go_and_nobody_elses() {
        let rules = "0:\tfrom all lookup local\n5180:\tfrom all to 192.0.2.1 lookup main\n5181:\tfrom all ipproto udp dport 53 lookup 51820\n5209:\tnot from all fwmark 0xca6c lookup 51821\n32766:\tfrom all lookup main\n";
        assert_eq!(
            lines(rules, ROUTES),
            [
                "-4 rule del pref 5180",
                "-4 rule del pref 5181",
                "-4 route flush table 51820",
                "-4 route flush table 51920",
                "-6 route flush table 51820",
                "-6 route flush table 51920"
            ]
        );
    }

    #[test]
    fn a_route_that_is_lost_comes_back_where_its_device_is_and_its_place_is_free() {
        let back = lines("", "");
        assert!(back.contains(&"-4 route add default via 192.168.1.1 dev eth0 proto dhcp metric 100".to_owned()));
        assert!(
            back.contains(&"-4 route add 192.168.1.0/24 dev eth0 proto kernel scope link src 192.168.1.7".to_owned())
        );
        assert!(!back.iter().any(|line| line.contains("tun9")), "{back:?}");
        let moved = lines("", "default via 10.1.1.1 dev eth0\n");
        assert!(!moved.iter().any(|line| line.contains("default")), "{moved:?}");
    }
}
