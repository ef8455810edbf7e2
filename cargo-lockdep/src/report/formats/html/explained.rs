//! Explanations of the kinds of the findings, rendered from Markdown.

use maud::{Markup, PreEscaped, html};
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Parser, Tag, TagEnd};

use super::highlight::Highlighted;
use crate::{
    cmd::explain::{self, Explanation},
    report::Report,
};

/// Renders each kind once, however many findings have it.
pub(super) fn kinds(report: &Report) -> Markup {
    let is_there =
        |it: &&Explanation| report.findings.iter().any(|judged| judged.finding.kind == it.kind);
    let kinds: Vec<_> = explain::ALL.iter().filter(is_there).collect();
    html! {
        @if !kinds.is_empty() {
            section aria-labelledby="kinds" {
                h2 #kinds { "What these findings mean" }
                @for it in kinds {
                    article.prose #(it.kind.name()) {
                        h3 { code { (it.kind.name()) } " " (it.title()) }
                        (explained(it))
                    }
                }
            }
        }
    }
}

/// Renders an explanation without its title.
fn explained(explanation: &Explanation) -> Markup {
    let mut events = Vec::new();
    let mut code: Option<String> = None;
    let mut is_title = false;
    for event in Parser::new(explanation.text) {
        match (event, &mut code) {
            (Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }), _) => {
                is_title = true;
            }
            (Event::End(TagEnd::Heading(HeadingLevel::H1)), _) => is_title = false,
            _ if is_title => {}
            (Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))), _) => {
                code = Some(String::new());
            }
            (Event::Text(text), Some(code)) => code.push_str(&text),
            (Event::End(TagEnd::CodeBlock), _) => {
                let text = highlighted(&code.take().unwrap_or_default()).into_string();
                events.push(Event::Html(text.into()));
            }
            (event, _) => events.push(event),
        }
    }
    let mut text = String::new();
    pulldown_cmark::html::push_html(&mut text, events.into_iter());
    // These headings go below that of the kind.
    PreEscaped(text.replace("<h2>", "<h4>").replace("</h2>", "</h4>"))
}

fn highlighted(text: &str) -> Markup {
    let source = Highlighted::new(text);
    html! {
        pre tabindex="0" {
            @for line in 1..=source.line_count() { code { (source.line(line, &[])) } "\n" }
        }
    }
}
