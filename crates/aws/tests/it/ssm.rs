//! Parameter Store: what is written is read, all pages of it, through throttling; kinds stay; who deletes is told.

use std::time::Duration;

use bowline_aws::ssm::{
    Kind, LONGEST_VALUE, PutParameter, delete_parameter, delete_parameters, is_of_another_kind, is_taken, parameter,
    parameters_by_path, put_parameter,
};
use bowline_base::{Kind as Whose, Secret};
use bowline_fakeaws::{Effect, Fault, Settings};

use crate::World;

async fn put(world: &World, name: &str, value: &str, kind: Kind, overwrite: bool) -> Result<u64, bowline_aws::Error> {
    let value = Secret::new(value);
    let put = PutParameter { name, value: &value, kind, overwrite };
    put_parameter(&world.aws, &world.region, &world.user(), &put).await
}

#[tokio::test]
async fn what_is_written_is_read_page_by_page_through_a_throttle() {
    let world = World::new(Settings::default()).await;
    for number in 0..25 {
        put(&world, &format!("/p/users/u{number}/record"), "{}", Kind::Sealed, false).await.unwrap();
    }
    world.cloud().fault(Fault::new("ssm.GetParametersByPath", Effect::Throttle).times(2));
    let all = parameters_by_path(&world.aws, &world.region, &world.user(), "/p").await.unwrap();
    assert_eq!(all.len(), 25);
    assert!(all.iter().all(|one| one.kind == Kind::Sealed && one.value.expose() == "{}" && one.version == 1));
    assert_eq!(world.cloud().counts().sum("ssm.GetParametersByPath.ok"), 3);
    let names: Vec<&str> = all.iter().take(10).map(|one| one.name.as_str()).collect();
    delete_parameters(&world.aws, &world.region, &world.user(), &names).await.unwrap();
    assert_eq!(parameters_by_path(&world.aws, &world.region, &world.user(), "/p").await.unwrap().len(), 15);
}

#[tokio::test]
async fn a_taken_name_another_kind_and_too_long_a_value_are_told_apart() {
    let world = World::new(Settings::default()).await;
    assert_eq!(put(&world, "/p/a", "1", Kind::Plain, false).await.unwrap(), 1);
    assert_eq!(put(&world, "/p/a", "2", Kind::Plain, true).await.unwrap(), 2);
    assert!(is_taken(&put(&world, "/p/a", "3", Kind::Plain, false).await.unwrap_err()));
    assert!(is_of_another_kind(&put(&world, "/p/a", "3", Kind::Sealed, true).await.unwrap_err()));
    let long = put(&world, "/p/b", &"x".repeat(LONGEST_VALUE + 1), Kind::Plain, false).await.unwrap_err();
    assert_eq!((long.kind(), is_taken(&long), is_of_another_kind(&long)), (Whose::Refused, false, false));
    let (aws, region, me) = (&world.aws, &world.region, &world.user());
    assert_eq!(parameter(aws, region, me, "/p/a").await.unwrap().unwrap().value.expose(), "2");
    assert_eq!(parameter(aws, region, me, "/p/none").await.unwrap(), None);
    assert!(delete_parameter(aws, region, me, "/p/a").await.unwrap());
    assert!(!delete_parameter(aws, region, me, "/p/a").await.unwrap());
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_work_leaves_doubt_only_where_it_matters() {
    let world = World::new(Settings::default()).await;
    let lost = |operation: &str| Fault::new(operation, Effect::Reset).times(1).after_work();
    world.cloud().fault(lost("ssm.PutParameter"));
    assert!(put(&world, "/p/a", "1", Kind::Plain, false).await.unwrap_err().is_ambiguous());
    world.cloud().fault(lost("ssm.PutParameter"));
    assert_eq!(put(&world, "/p/a", "2", Kind::Plain, true).await.unwrap(), 3);
    world.cloud().fault(Fault::new("ssm.GetParameter", Effect::Latency(Duration::from_millis(1))));
    let read = parameter(&world.aws, &world.region, &world.user(), "/p/a").await.unwrap().unwrap();
    assert_eq!((read.value.expose(), read.version), ("2", 3));
}
