//! The formats of images, documents, audio and films: Bedrock's names and their media types.

/// Bedrock's name of an image format, and its media type.
const IMAGES: [(&str, &str); 4] = [
    ("png", "image/png"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
];

const DOCUMENTS: [(&str, &str); 9] = [
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("xls", "application/vnd.ms-excel"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
];

const FILMS: [(&str, &str); 9] = [
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime"),
    ("mkv", "video/x-matroska"),
    ("webm", "video/webm"),
    ("flv", "video/x-flv"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpg"),
    ("wmv", "video/x-ms-wmv"),
    ("three_gp", "video/3gpp"),
];

const SOUNDS: [&str; 15] = [
    "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm",
    "webm",
];

/// What sort of medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A picture.
    Image,
    /// A file to read.
    Document,
    /// A film.
    Film,
}

impl Medium {
    fn table(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Image => &IMAGES,
            Self::Document => &DOCUMENTS,
            Self::Film => &FILMS,
        }
    }

    /// The media type of one of Bedrock's formats; one made up from its name where the format is not known.
    #[must_use]
    pub fn media_type(self, format: &str) -> String {
        let known = self.table().iter().find(|(name, _)| *name == format);
        match (known, self) {
            (Some((_, media_type)), _) => (*media_type).to_owned(),
            (None, Self::Image) => format!("image/{format}"),
            (None, Self::Document) => format!("application/{format}"),
            (None, Self::Film) => format!("video/{format}"),
        }
    }

    /// Bedrock's format of a media type; none if Bedrock does not take it.
    #[must_use]
    pub fn format(self, media_type: &str) -> Option<&'static str> {
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        let known = self
            .table()
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(media_type));
        known.map(|(name, _)| *name).or(match (self, media_type) {
            (Self::Image, "image/jpg") => Some("jpeg"),
            (Self::Document, "application/xhtml+xml") => Some("html"),
            (Self::Document, "text/x-markdown") => Some("md"),
            (Self::Document, text) if text.starts_with("text/") => Some("txt"),
            _ => None,
        })
    }

    /// Bedrock's format of a file name, by its ending.
    #[must_use]
    pub fn format_of_name(self, name: &str) -> Option<&'static str> {
        let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
        let ending = match ending.as_str() {
            "jpg" => "jpeg",
            "htm" => "html",
            "markdown" => "md",
            "3gp" => "three_gp",
            other => other,
        };
        self.table()
            .iter()
            .find(|(name, _)| *name == ending)
            .map(|(name, _)| *name)
    }
}

/// Bedrock's name of a format of sound; none if Bedrock does not take it.
#[must_use]
pub fn sound(format: &str) -> Option<&'static str> {
    let format = match format {
        "mpeg3" => "mp3",
        "pcm16" => "pcm",
        other => other,
    };
    SOUNDS.into_iter().find(|known| *known == format)
}
