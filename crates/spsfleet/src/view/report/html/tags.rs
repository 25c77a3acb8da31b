//! Text as HTML. Everything that is shown goes through [`escape`]: an appliance's words are not
//! trusted.

/// Text that means nothing to HTML, in elements and in quoted attributes.
pub(in crate::view::report) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A cell of a table: what it is called on a narrow screen, its class, and its text.
pub(super) fn cell(key: &str, class: &str, text: &str) -> String {
    raw_cell(key, class, &escape(text))
}

/// The same with HTML of ours.
pub(super) fn raw_cell(key: &str, class: &str, html: &str) -> String {
    let key = if key.is_empty() { String::new() } else { format!(" data-k=\"{key}\"") };
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    format!("<td{class}{key}>{html}</td>")
}

/// A table that becomes cards on a narrow screen. Rows are HTML of ours.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = String>) -> String {
    let head: String = head.iter().map(|title| format!("<th scope=\"col\">{title}</th>")).collect();
    let rows: String = rows.into_iter().collect();
    format!(
        "<table class=\"cards\"><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table>\n"
    )
}

/// A row of cells that are HTML already.
pub(super) fn row(class: &str, cells: &[String]) -> String {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    format!("<tr{class}>{}</tr>\n", cells.concat())
}

/// A section with its title; nothing when it is empty.
pub(super) fn section(title: &str, html: &str) -> String {
    if html.is_empty() {
        return String::new();
    }
    format!("<section>\n<h2>{}</h2>\n{html}</section>\n", escape(title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_an_element_or_an_attribute() {
        assert_eq!(
            escape("<script>alert('x')</script> \"&amp;"),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &quot;&amp;amp;"
        );
    }
}
