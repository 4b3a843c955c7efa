//! Accounts and the roles in them.

use serde_json::Value;

use crate::settings::texts;

/// One AWS account, as the SSO portal lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// Shown in lists.
    pub name: String,
    /// Shown in lists.
    pub email: String,
    /// Roles that the SSO user has here.
    pub roles: Vec<String>,
}

impl Account {
    /// An account with an address made from its name.
    #[must_use]
    pub fn new(id: &str, name: &str, roles: &[&str]) -> Self {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Self { id: id.to_owned(), name: name.to_owned(), email: format!("{name}@example.com"), roles }
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let roles = texts(value.get("roles")?)?;
        let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
        let id = value.get("id")?.as_str()?;
        Some(Self::new(id, value.get("name").and_then(Value::as_str).unwrap_or(id), &roles))
    }
}
