//! EC2 calls against a script: what is sent, what is made of the answers, and what is never sent twice.

use bowline_base::{Fault, FixedIdentity, Kind};

use super::*;
use crate::scripted::{Act, Scripted, answer, keys, region};

const GATEWAY: &str = "<customerGatewayId>cgw-1</customerGatewayId><state>available</state><type>ipsec.1</type>\
    <ipAddress>198.51.100.7</ipAddress><bgpAsnExtended>4200000000</bgpAsnExtended><deviceName>bowline/site-1</deviceName>\
    <tagSet><item><key>bowline:owner</key><value>site-1</value></item><item><key>Name</key><value/></item></tagSet>";

fn me() -> FixedIdentity {
    FixedIdentity::new(keys("AKIASITE"))
}

fn wrapped(operation: &str, inner: &str) -> Act {
    let xml = format!(
        "<{operation}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId>{inner}\
         </{operation}Response>"
    );
    answer(200, &xml)
}

fn refused(status: u16, code: &str) -> Act {
    let error = format!("<Error><Code>{code}</Code><Message>No.</Message></Error>");
    answer(status, &format!("<Response><Errors>{error}</Errors><RequestID>r-1</RequestID></Response>"))
}

fn body(wire: &Scripted, index: usize) -> String {
    String::from_utf8(wire.sent.lock().unwrap()[index].body().to_vec()).unwrap()
}

fn new_gateway() -> CreateCustomerGateway {
    CreateCustomerGateway {
        address: "198.51.100.7".parse().unwrap(),
        asn: Asn(4_200_000_000),
        kind: "ipsec.1".to_owned(),
        device: Some("bowline/site-1".to_owned()),
        tags: vec![("bowline:owner".to_owned(), "site-1".to_owned())],
    }
}

#[tokio::test]
async fn a_gateway_is_made_with_its_tags_in_one_call() {
    let made = format!("<customerGateway>{GATEWAY}</customerGateway>");
    let wire = Scripted::new(vec![wrapped("CreateCustomerGateway", &made)]);
    let gateway = create_customer_gateway(&wire.aws(), &region(), &me(), &new_gateway()).await.unwrap();
    assert_eq!((gateway.id.as_str(), gateway.asn), ("cgw-1", Some(Asn(4_200_000_000))));
    assert_eq!((tag(&gateway.tags, "bowline:owner"), tag(&gateway.tags, "Name")), (Some("site-1"), Some("")));
    assert_eq!(
        body(&wire, 0),
        "Action=CreateCustomerGateway&Version=2016-11-15&Type=ipsec.1&IpAddress=198.51.100.7\
         &BgpAsnExtended=4200000000&DeviceName=bowline%2Fsite-1&TagSpecification.1.ResourceType=customer-gateway\
         &TagSpecification.1.Tag.1.Key=bowline%3Aowner&TagSpecification.1.Tag.1.Value=site-1"
    );
    let plain = CreateCustomerGateway { asn: Asn(65000), device: None, tags: Vec::new(), ..new_gateway() };
    let sent = plain.ask().fields;
    assert_eq!(sent.last().unwrap(), &("BgpAsn".to_owned(), "65000".to_owned()));
}

#[tokio::test]
async fn a_connection_is_read_whole_and_unknown_words_stay_words() {
    let item = "<item><vpnConnectionId>vpn-1</vpnConnectionId><state>modifying</state><novelty>x</novelty>\
        <customerGatewayConfiguration>&lt;k&gt;psk&lt;/k&gt;</customerGatewayConfiguration>\
        <customerGatewayId>cgw-1</customerGatewayId><transitGatewayId>tgw-1</transitGatewayId>\
        <options><staticRoutesOnly>true</staticRoutesOnly><tunnelOptionSet><item>\
        <outsideIpAddress>203.0.113.9</outsideIpAddress><startupAction>add</startupAction>\
        <ikeVersionSet><item><value>ikev2</value></item></ikeVersionSet><phase1DHGroupNumberSet><item><value>14</value></item>\
        <item><value>20</value></item></phase1DHGroupNumberSet><phase2EncryptionAlgorithmSet><item><value>AES256</value>\
        </item></phase2EncryptionAlgorithmSet></item></tunnelOptionSet><localIpv4NetworkCidr>10.1.0.0/16</localIpv4NetworkCidr>\
        </options><preSharedKeyArn>arn:aws:secretsmanager:x</preSharedKeyArn><vgwTelemetry><item><outsideIpAddress>203.0.113.9</outsideIpAddress><status>UP</status>\
        <lastStatusChange>2026-11-22T02:00:00.000Z</lastStatusChange><acceptedRouteCount>3</acceptedRouteCount>\
        <statusMessage/></item></vgwTelemetry></item>";
    let bare = "<item><vpnConnectionId>vpn-2</vpnConnectionId><state>deleted</state></item>";
    let wire = Scripted::new(vec![
        wrapped(
            "DescribeVpnConnections",
            &format!("<vpnConnectionSet>{item}</vpnConnectionSet><nextToken>n/1</nextToken>"),
        ),
        wrapped("DescribeVpnConnections", &format!("<vpnConnectionSet>{bare}</vpnConnectionSet>")),
    ]);
    let found = vpn_connections(&wire.aws(), &region(), &me(), &[]).await.unwrap();
    let [first, second] = &found[..] else { panic!("{found:?}") };
    assert_eq!((first.state.as_str(), first.customer_gateway.as_str()), ("modifying", "cgw-1"));
    assert_eq!((&first.target, first.static_routes_only), (&Target::TransitGateway("tgw-1".to_owned()), true));
    assert!(first.telemetry[0].is_up() && first.telemetry[0].accepted_routes == 3);
    let tunnel = &first.tunnels[0];
    assert_eq!((tunnel.startup_action.as_deref(), &tunnel.ike_versions[..]), (Some("add"), &["ikev2".to_owned()][..]));
    assert_eq!((&tunnel.phase1.groups[..], &tunnel.phase1.encryption[..]), (&[14, 20][..], &[][..]));
    assert_eq!(tunnel.phase2.encryption, ["AES256"]);
    assert_eq!(first.networks, [Some("10.1.0.0/16".to_owned()), None]);
    assert_eq!(first.key_arn.as_deref(), Some("arn:aws:secretsmanager:x"));
    assert_eq!(first.configuration.as_ref().unwrap().expose(), "<k>psk</k>");
    assert!(!format!("{first:?}").contains("psk"), "a key in a log");
    assert_eq!((second.state.as_str(), second.customer_gateway.as_str()), ("deleted", ""));
    assert_eq!(body(&wire, 1), "Action=DescribeVpnConnections&Version=2016-11-15&NextToken=n%2F1");
}

#[tokio::test]
async fn changes_are_not_repeated_when_their_answer_is_lost() {
    let wire = Scripted::new(vec![refused(503, "Unavailable"), Act::Break, refused(500, "InternalError")]);
    let lost = create_customer_gateway(&wire.aws(), &region(), &me(), &new_gateway()).await.unwrap_err();
    assert!(lost.is_ambiguous() && wire.count() == 1, "503 may come after the work");
    let lost = modify_vpn_connection(&wire.aws(), &region(), &me(), ("vpn-1", "cgw-2")).await.unwrap_err();
    assert!(lost.is_ambiguous() && wire.count() == 2);
    let lost = modify_vpn_connection(&wire.aws(), &region(), &me(), ("vpn-1", "cgw-2")).await.unwrap_err();
    assert!(lost.is_ambiguous() && Why::of(&lost) == Some(Why::Busy));
    assert_eq!(
        body(&wire, 1),
        "Action=ModifyVpnConnection&Version=2016-11-15&VpnConnectionId=vpn-1&CustomerGatewayId=cgw-2"
    );
    let yes = "<return>true</return>";
    let wire =
        Scripted::new(vec![Act::Break, wrapped("DeleteCustomerGateway", yes), Act::Break, wrapped("CreateTags", yes)]);
    delete_customer_gateway(&wire.aws(), &region(), &me(), "cgw-1").await.unwrap();
    let tags = [("bowline:owner".to_owned(), "site-1".to_owned())];
    create_tags(&wire.aws(), &region(), &me(), &["vpn-1".to_owned()], &tags).await.unwrap();
    assert_eq!(
        body(&wire, 3),
        "Action=CreateTags&Version=2016-11-15&ResourceId.1=vpn-1&Tag.1.Key=bowline%3Aowner&Tag.1.Value=site-1"
    );
}

#[tokio::test]
async fn throttling_that_says_so_is_ridden_out() {
    let made = format!("<customerGateway>{GATEWAY}</customerGateway>");
    let throttles = [refused(503, "RequestLimitExceeded"), refused(400, "Throttling")];
    let wire = Scripted::new(throttles.into_iter().chain([wrapped("CreateCustomerGateway", &made)]).collect());
    create_customer_gateway(&wire.aws(), &region(), &me(), &new_gateway()).await.unwrap();
    let wire = Scripted::new((0..3).map(|_| refused(503, "RequestLimitExceeded")).collect());
    let error = create_customer_gateway(&wire.aws(), &region(), &me(), &new_gateway()).await.unwrap_err();
    assert!(!error.is_ambiguous() && Why::of(&error) == Some(Why::Busy), "nothing was done");
}

#[tokio::test]
async fn a_rehearsal_is_good_when_ec2_says_that_it_was_one() {
    let wire = Scripted::new(vec![
        refused(412, "DryRunOperation"),
        refused(403, "UnauthorizedOperation"),
        wrapped("DeleteCustomerGateway", "<return>true</return>"),
    ]);
    let aws = wire.aws();
    rehearse(&aws, &region(), &me(), Rehearsal::Create(&new_gateway())).await.unwrap();
    assert!(body(&wire, 0).ends_with("&DryRun=true"));
    let denied = rehearse(&aws, &region(), &me(), Rehearsal::VpnConnections).await.unwrap_err();
    assert!(Why::of(&denied) == Some(Why::NotAllowed) && denied.is_access_denied());
    let done = rehearse(&aws, &region(), &me(), Rehearsal::Delete("cgw-1")).await.unwrap_err();
    assert!(done.is_ambiguous(), "it was not a rehearsal");
}

#[tokio::test]
async fn one_code_means_two_things_and_each_has_its_fix() {
    for (code, expected) in [("IncorrectState", Why::InUse), ("InvalidCustomerGatewayID.NotFound", Why::NoGateway)] {
        let wire = Scripted::new(vec![refused(400, code)]);
        let error = delete_customer_gateway(&wire.aws(), &region(), &me(), "cgw-1").await.unwrap_err();
        assert_eq!(Why::of(&error), Some(expected));
    }
    let wire = Scripted::new(vec![refused(400, "IncorrectState")]);
    let error = modify_vpn_connection(&wire.aws(), &region(), &me(), ("vpn-1", "cgw-1")).await.unwrap_err();
    assert_eq!((Why::of(&error), error.is_ambiguous()), (Some(Why::Changing), false));
    let fault = Fault::from(error);
    assert_eq!(
        (fault.kind, fault.to_string().as_str()),
        (Kind::Refused, "`ModifyVpnConnection` refused by ec2: No (IncorrectState, status 400, request r-1)")
    );
    assert!(fault.hint.unwrap().contains("three to six minutes"));
}

#[tokio::test]
async fn nonsense_is_no_empty_list() {
    let gateways = |inner: &str| wrapped("DescribeCustomerGateways", inner);
    let odd = GATEWAY.replace("198.51.100.7", "here");
    let acts = vec![
        answer(200, "<html/>"),
        gateways(""),
        gateways("<customerGatewaySet><item/></customerGatewaySet>"),
        gateways(&format!("<customerGatewaySet><item>{odd}</item></customerGatewaySet>")),
    ];
    for act in acts {
        let wire = Scripted::new(vec![act]);
        let error = customer_gateways(&wire.aws(), &region(), &me()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable);
    }
    let wire = Scripted::new(vec![gateways("<customerGatewaySet/>")]);
    assert!(customer_gateways(&wire.aws(), &region(), &me()).await.unwrap().is_empty());
}
