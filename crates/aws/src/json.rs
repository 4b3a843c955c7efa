//! JSON answers: one object, whose fields are taken out by name and type. Unknown fields do not matter.

use serde_json::{Map, Value};

/// An object of an answer.
pub(crate) struct Object(Map<String, Value>);

impl Object {
    /// The object that is the whole of `bytes`.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().map(Self)
    }

    /// Takes the text of `field` out, so that a secret is moved and not copied.
    pub(crate) fn text(&mut self, field: &str) -> Option<String> {
        match self.0.get_mut(field)?.take() {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number in `field`, which some services write as `1.5E9`.
    pub(crate) fn integer(&self, field: &str) -> Option<i64> {
        let number = self.0.get(field)?;
        #[expect(clippy::cast_possible_truncation, reason = "checked to be exact in an f64 just before")]
        let rounded = || number.as_f64().filter(|float| float.abs() < 9e15).map(|float| float as i64);
        number.as_i64().or_else(rounded)
    }

    /// The object in `field`.
    pub(crate) fn object(&mut self, field: &str) -> Option<Self> {
        match self.0.get_mut(field)?.take() {
            Value::Object(map) => Some(Self(map)),
            _ => None,
        }
    }

    /// The objects of the list in `field`.
    pub(crate) fn objects(&mut self, field: &str) -> Option<Vec<Self>> {
        let Value::Array(list) = self.0.get_mut(field)?.take() else { return None };
        list.into_iter().map(|value| if let Value::Object(map) = value { Some(Self(map)) } else { None }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_another_type_are_as_if_absent() {
        let mut object = Object::parse(br#"{"a":1,"b":"x","c":1.5e9,"d":1e300,"e":{},"f":[1],"g":null}"#).unwrap();
        assert_eq!((object.text("a"), object.text("b"), object.text("g")), (None, Some("x".to_owned()), None));
        assert_eq!((object.integer("c"), object.integer("d"), object.integer("b")), (Some(1_500_000_000), None, None));
        assert!(object.object("e").is_some() && object.objects("f").is_none() && object.objects("e").is_none());
    }

    #[test]
    fn only_a_whole_object_is_one() {
        for text in ["", "[]", "{", "{}}", "null", "<a/>"] {
            assert!(Object::parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
