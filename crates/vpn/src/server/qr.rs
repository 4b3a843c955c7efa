//! A configuration as a QR code: for a phone's camera as SVG, for a terminal as text.

use bowline_base::Secret;
use qrcode::{
    EcLevel, QrCode,
    render::{svg, unicode::Dense1x2},
};

/// An image that stands by itself.
#[must_use]
pub(crate) fn svg(text: &Secret) -> Option<String> {
    let code = code(text)?;
    Some(code.render::<svg::Color<'_>>().min_dimensions(320, 320).build())
}

/// Two rows of dots a line, light on dark terminals: the quiet zone is part of it.
#[must_use]
pub(crate) fn terminal(text: &Secret) -> Option<String> {
    let code = code(text)?;
    let image = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    Some(image + "\n")
}

/// The least correction: the code is shown on a screen, and larger dots are read better. `None` above 2953 bytes.
fn code(text: &Secret) -> Option<QrCode> {
    QrCode::with_error_correction_level(text.expose(), EcLevel::L).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_drawn_and_what_does_not_is_not() {
        let text = Secret::new("[Interface]\n".repeat(20));
        assert!(svg(&text).unwrap().starts_with("<?xml"));
        assert!(terminal(&text).unwrap().lines().count() > 20);
        assert!(svg(&Secret::new("x".repeat(3000))).is_none());
    }
}
