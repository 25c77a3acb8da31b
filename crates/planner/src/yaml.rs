//! YAML as plain values, for text that is rewritten and not judged: what the simulator's fleet is
//! made from, and its fault plans. Only this crate knows YAML.

use serde_json::Value;
use serde_yaml::DuplicateKeyPolicy;

/// Why a text could not be read, or a value not be written.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// It is not YAML, or a key is there twice.
    #[error("it cannot be read as YAML: {0}")]
    Read(String),
    /// YAML cannot say it.
    #[error("it cannot be written as YAML: {0}")]
    Write(String),
}

/// Reads YAML, which JSON is a part of.
///
/// # Errors
/// [`YamlError::Read`] with the place.
pub fn read(text: &str) -> Result<Value, YamlError> {
    let mut options = crate::tree::options();
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    let read = serde_yaml::from_str_with_options::<Value>(text, options);
    read.map_err(|error| YamlError::Read(error.without_snippet().to_string()))
}

/// Writes YAML.
///
/// # Errors
/// [`YamlError::Write`] when YAML cannot say it.
pub fn write(value: &Value) -> Result<String, YamlError> {
    serde_yaml::to_string(value).map_err(|error| YamlError::Write(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_the_same() {
        let text = "a: 7.5.1\nb: ['22:00', \"yes\", 1, true, ~]\nc: {d: 'Sat 22:00 - Sun 04:00'}\n\
                    e: \"no\"\nf: '0x10'\ng: \"2026-12-18\"\nh: 'a: b # c'\n";
        let value = read(text).expect("YAML");
        assert_eq!(value["b"][0], "22:00");
        assert_eq!(value["e"], "no");
        let again = read(&write(&value).expect("written")).expect("YAML");
        assert_eq!(again, value);
    }

    #[test]
    fn what_is_no_yaml_says_where() {
        let error = read("a: [1\nb: 2").expect_err("no YAML");
        assert!(error.to_string().contains("line"), "{error}");
    }
}
