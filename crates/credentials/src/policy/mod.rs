//! Policy documents about credentials: who may become a role ([`trust`]), and what a role that calls Bedrock may do
//! ([`bedrock`]). Pure: values in, a document out; whoever calls prints it.

pub mod bedrock;
pub mod trust;

/// Twelve digits.
///
/// # Errors
/// What is wrong with it, in words.
pub fn account(text: &str) -> Result<String, String> {
    let fits = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err("an account is twelve digits".to_owned()) }
}
