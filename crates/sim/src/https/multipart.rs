//! Takes one file out of a `multipart/form-data` body as it streams by, holding back no more than
//! a boundary's length.

use memchr::memmem;

/// The longest part header that is taken.
const HEADER_LIMIT: usize = 16 * 1024;

/// A parser for the part named `firmware`.
pub(super) struct Multipart {
    finder: memmem::Finder<'static>,
    delimiter: Vec<u8>,
    /// Bytes that may be the beginning of a delimiter, or of a part's header.
    kept: Vec<u8>,
    place: Place,
    found: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first part, or in a part that is not wanted.
    Skipped,
    /// In the wanted part.
    Wanted,
    /// Between a delimiter and the end of the part's header.
    Header,
    /// After the last delimiter.
    Done,
}

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MultipartError {
    #[error("a part's header does not end")]
    HeaderTooLong,
    #[error("there is no part named `firmware`")]
    NoFirmware,
    #[error("the body ends inside a part")]
    CutOff,
}

impl Multipart {
    pub(super) fn new(boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        Self {
            finder: memmem::Finder::new(&delimiter).into_owned(),
            delimiter,
            // The first delimiter has no line break before it.
            kept: b"\r\n".to_vec(),
            place: Place::Skipped,
            found: false,
        }
    }

    /// The boundary that a `Content-Type` names.
    pub(super) fn boundary(content_type: &str) -> Option<&str> {
        let (kind, parameters) = content_type.split_once(';')?;
        if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            return None;
        }
        parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let named = name.trim().eq_ignore_ascii_case("boundary");
            named.then(|| value.trim().trim_matches('"')).filter(|value| !value.is_empty())
        })
    }

    /// Takes the next bytes; gives those of the wanted file to `sink`.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), MultipartError> {
        let mut rest = bytes;
        while !rest.is_empty() && self.place != Place::Done {
            rest = match self.place {
                Place::Header => self.header(rest)?,
                _ => self.content(rest, &mut sink),
            };
        }
        Ok(())
    }

    /// To be called when all bytes were taken.
    pub(super) fn finish(self) -> Result<(), MultipartError> {
        match self.place {
            Place::Done if self.found => Ok(()),
            Place::Done => Err(MultipartError::NoFirmware),
            _ => Err(MultipartError::CutOff),
        }
    }

    fn content<'a>(&mut self, bytes: &'a [u8], sink: &mut impl FnMut(&[u8])) -> &'a [u8] {
        let wanted = self.place == Place::Wanted;
        let mut emit = |bytes: &[u8]| {
            if wanted && !bytes.is_empty() {
                sink(bytes);
            }
        };
        let hold = self.delimiter.len() - 1;
        if !self.kept.is_empty() {
            let held = self.kept.len();
            let (next, _) = bytes.split_at(hold.min(bytes.len()));
            self.kept.extend_from_slice(next);
            if let Some(at) = self.finder.find(&self.kept) {
                emit(self.kept.get(..at).unwrap_or_default());
                self.begin_header();
                return bytes.get(at + self.delimiter.len() - held..).unwrap_or_default();
            }
            if bytes.len() < hold {
                let ready = self.kept.len().saturating_sub(hold);
                emit(self.kept.get(..ready).unwrap_or_default());
                self.kept.drain(..ready);
                return &[];
            }
            emit(self.kept.get(..held).unwrap_or_default());
            self.kept.clear();
        }
        if let Some(at) = self.finder.find(bytes) {
            emit(bytes.get(..at).unwrap_or_default());
            self.begin_header();
            return bytes.get(at + self.delimiter.len()..).unwrap_or_default();
        }
        let (ready, tail) = bytes.split_at(bytes.len().saturating_sub(hold));
        emit(ready);
        self.kept.extend_from_slice(tail);
        &[]
    }

    fn begin_header(&mut self) {
        self.kept.clear();
        self.place = Place::Header;
    }

    fn header<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], MultipartError> {
        let held = self.kept.len();
        let room = (HEADER_LIMIT + 4).saturating_sub(held).min(bytes.len());
        let (next, _) = bytes.split_at(room);
        self.kept.extend_from_slice(next);
        if self.kept.starts_with(b"--") {
            self.place = Place::Done;
            return Ok(&[]);
        }
        let Some(at) = memmem::find(&self.kept, b"\r\n\r\n") else {
            let full = self.kept.len() > HEADER_LIMIT;
            return if full { Err(MultipartError::HeaderTooLong) } else { Ok(&[]) };
        };
        let names = is_firmware(self.kept.get(..at).unwrap_or_default());
        self.found |= names;
        self.place = if names { Place::Wanted } else { Place::Skipped };
        self.kept.clear();
        Ok(bytes.get((at + 4).saturating_sub(held)..).unwrap_or_default())
    }
}

fn is_firmware(header: &[u8]) -> bool {
    let text = String::from_utf8_lossy(header);
    text.split("\r\n").any(|line| {
        let Some((name, value)) = line.split_once(':') else { return false };
        name.trim().eq_ignore_ascii_case("content-disposition")
            && value.split(';').any(|parameter| {
                parameter.split_once('=').is_some_and(|(key, value)| {
                    key.trim() == "name" && value.trim().trim_matches('"') == "firmware"
                })
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(content: &[u8]) -> Vec<u8> {
        let mut body =
            b"--XX\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--XX\r\n\
            content-disposition: form-data; name=\"firmware\"; filename=\"sps.iso\"\r\n\
            Content-Type: application/octet-stream\r\n\r\n"
                .to_vec();
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--XX--\r\n");
        body
    }

    fn parse(body: &[u8], step: usize) -> Result<Vec<u8>, MultipartError> {
        let (mut parser, mut got) = (Multipart::new("XX"), Vec::new());
        for chunk in body.chunks(step) {
            parser.feed(chunk, |bytes| got.extend_from_slice(bytes))?;
        }
        parser.finish()?;
        Ok(got)
    }

    #[test]
    fn the_file_comes_out_whole_however_the_body_is_cut() {
        let tricky: &[u8] = b"\r\n--X\r\n--\r\r\n\r\n--XY is not it \r\n-\0\xff\r";
        let mut long = tricky.to_vec();
        (0..2000_u32).for_each(|n| long.extend_from_slice(&n.to_le_bytes()));
        for content in [&b""[..], &b"x"[..], tricky, &long] {
            // The delimiter of a real body cannot occur inside; `--XY` begins like it.
            let content: Vec<u8> = if content == tricky || content.len() > 100 {
                String::from_utf8_lossy(content).replace("--XY", "--Xy").into_bytes()
            } else {
                content.to_vec()
            };
            let body = body(&content);
            for step in (1..60).chain([1000, body.len()]) {
                assert_eq!(parse(&body, step).as_deref(), Ok(content.as_slice()), "step {step}");
            }
        }
    }

    #[test]
    fn what_is_no_whole_form_is_an_error() {
        let whole = body(b"abc");
        assert_eq!(parse(&whole[..whole.len() - 10], 7), Err(MultipartError::CutOff));
        let other =
            b"--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc\r\n--XX--\r\n";
        assert_eq!(parse(other, 9), Err(MultipartError::NoFirmware));
        let endless = [b"--XX\r\n".to_vec(), vec![b'a'; 20_000]].concat();
        assert_eq!(parse(&endless, 999), Err(MultipartError::HeaderTooLong));
    }

    #[test]
    fn the_boundary_is_read_from_the_content_type() {
        let read = Multipart::boundary;
        assert_eq!(read("multipart/form-data; boundary=abc"), Some("abc"));
        assert_eq!(read("Multipart/Form-Data; charset=x; Boundary=\"a b\""), Some("a b"));
        assert_eq!(read("application/octet-stream"), None);
        assert_eq!(read("multipart/form-data; boundary="), None);
    }
}
