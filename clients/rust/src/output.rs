//! JSON on its way to and from an app.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    error::{Error, Failure, Result},
    finite,
    model::RunState,
};

/// What a function returned or yielded: a JSON object, kept as the text that came, so that integers of any size are
/// exact.
#[derive(Clone)]
pub struct Output(Box<RawValue>);

impl Output {
    /// Decodes the object into a type of the caller's own, or into [`serde_json::Value`], where integers beyond 64 bits
    /// become floats; `i128` and [`RawValue`] keep them.
    ///
    /// # Errors
    ///
    /// [`serde_json::Error`] if the object is of another shape.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_str(self.0.get())
    }

    /// The JSON text.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.get()
    }

    pub(crate) fn from_answer(bytes: &[u8], run_state: RunState) -> Result<Self> {
        serde_json::from_slice(bytes).map(Self).map_err(|error| unreadable(format!("the output: {error}"), run_state))
    }

    pub(crate) fn empty() -> Self {
        Self(RawValue::from_string("{}".to_owned()).expect("an empty object is JSON"))
    }
}

impl Serialize for Output {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.json())
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.json())
    }
}

/// The error of an answer that does not keep to the contract.
pub(crate) fn unreadable(message: impl Into<String>, run_state: RunState) -> Error {
    Error::new(Failure {
        code: "INVALID_RESPONSE".into(),
        message: message.into(),
        run_state: Some(run_state),
        ..Failure::default()
    })
}

/// Writes the input of a call.
///
/// # Errors
///
/// [`Error::Usage`] if it is not a JSON object, or holds NaN or an infinity, which would otherwise become null behind
/// the caller's back.
pub(crate) fn encode_input<T: Serialize + ?Sized>(input: &T) -> Result<Vec<u8>> {
    finite::check(input).map_err(|error| Error::usage(format!("the input cannot be sent as JSON: {error}")))?;
    let text = serde_json::to_vec(input)
        .map_err(|error| Error::usage(format!("the input cannot be sent as JSON: {error}")))?;
    if text.first() != Some(&b'{') {
        return Err(Error::usage("the input must be a JSON object"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn integers_of_any_size_stay_exact_both_ways() {
        let text = r#"{"big":123456789012345678901234567890,"small":-9007199254740993}"#;
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        assert_eq!(encode_input(&raw).unwrap(), text.as_bytes());
        let output = Output::from_answer(text.as_bytes(), RunState::Completed).unwrap();
        let decoded: BTreeMap<String, i128> = output.decode().unwrap();
        assert_eq!(decoded["big"], 123_456_789_012_345_678_901_234_567_890);
        assert_eq!(decoded["small"], -9_007_199_254_740_993);
    }

    #[test]
    fn only_an_object_is_an_input() {
        for input in [json!([1]), json!("text"), json!(null)] {
            assert_eq!(encode_input(&input).unwrap_err().code(), "USAGE");
        }
    }

    #[test]
    fn a_number_that_json_does_not_have_is_refused() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = encode_input(&BTreeMap::from([("deep", vec![Some(number)])])).unwrap_err();
            assert_eq!(error.code(), "USAGE");
        }
        assert!(encode_input(&BTreeMap::from([("half", 0.5)])).is_ok());
    }

    #[test]
    fn an_output_that_is_no_json_is_an_error() {
        let error = Output::from_answer(b"{\"cut\": ", RunState::Completed).unwrap_err();
        assert_eq!((error.code(), error.run_state()), ("INVALID_RESPONSE", Some(RunState::Completed)));
    }
}
