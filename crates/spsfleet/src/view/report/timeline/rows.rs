//! The rows of one wave's drawing.

use std::collections::BTreeMap;

use model::run::Phase;
use model::{ClusterName, SiteName};

use super::super::facts::{
    ApplianceFacts, ClusterFacts, Doing, PhaseFacts, ReportFacts, Span, WaveFacts,
};
use super::super::html::escape;
use super::super::said;
use super::NAMED;
use super::axis::{Axis, LEFT};
use crate::view::words;

/// Where rows begin: above are the marks of the axis.
const TOP: f64 = 20.0;
/// A drawing that is higher goes on in another.
const HIGHEST: f64 = 700.0;
/// Of one appliance no more bars are drawn.
const BARS: usize = 200;
/// Of thin rows every so many-th is named.
const SIGNPOST: usize = 25;
/// A longer name is cut; its title has it whole.
const NAME: usize = 21;

struct Drawing<'a> {
    facts: &'a ReportFacts,
    axis: Axis,
    sites: &'a BTreeMap<&'a SiteName, usize>,
    body: String,
    y: f64,
    /// So many thin rows were drawn.
    thin: usize,
    /// From where to where the members of each cluster stand.
    brackets: BTreeMap<&'a ClusterName, (f64, f64)>,
}

/// The drawings of a wave. None is higher than a page, so that paper does not cut it.
pub(super) fn drawings<'a>(
    facts: &'a ReportFacts,
    wave: &'a WaveFacts,
    axis: Axis,
    sites: &'a BTreeMap<&'a SiteName, usize>,
) -> String {
    let members = facts.appliances.iter().filter(|member| member.wave == wave.name);
    let members: Vec<&ApplianceFacts> = members.collect();
    let thin = members.len() > NAMED;
    let blank = || Drawing {
        facts,
        axis,
        sites,
        body: String::new(),
        y: TOP,
        thin: 0,
        brackets: BTreeMap::new(),
    };
    let mut drawings = String::new();
    let mut drawing = blank();
    drawing.wave(wave);
    for member in members {
        if drawing.y > HIGHEST {
            drawings.push_str(&std::mem::replace(&mut drawing, blank()).finish(wave));
        }
        if let Some(cluster) = &member.cluster
            && !drawing.brackets.contains_key(cluster)
            && let Some(cluster) = facts.clusters.iter().find(|known| known.name == *cluster)
        {
            drawing.cluster(cluster);
        }
        drawing.appliance(member, thin && member.state.is_upgraded());
    }
    drawings.push_str(&drawing.finish(wave));
    drawings
}

impl<'a> Drawing<'a> {
    /// From its beginning to its end, the time it was watched, and the approval.
    fn wave(&mut self, wave: &WaveFacts) {
        let y = self.y;
        self.label(&format!("wave {}", wave.name), 8.0, y + 11.0, "soft");
        let mut marks = String::new();
        if let Some(from) = wave.started
            && let Some((x, width)) = self.axis.bar(from, wave.ended, 1.5)
        {
            let span = said::span(&Span { from, to: wave.ended });
            marks.push_str(&rect(
                "wave",
                x,
                y + 5.0,
                width,
                6.0,
                &format!("wave {}: {span}", wave.name),
            ));
        }
        if let (Some(from), Some(until)) = (wave.ended, wave.soak_until)
            && let Some((x, width)) = self.axis.bar(from, Some(until), 1.5)
        {
            let title = format!("watched until {}", said::utc(until));
            marks.push_str(&rect("soak", x, y + 5.0, width, 6.0, &title));
        }
        if let Some(approval) = &wave.approval {
            let (x, title) = (self.axis.x(approval.at), escape(&said::gate(wave)));
            marks.push_str(&format!(
                "<path class=\"wave\" d=\"M{x:.1} {:.1}l4 7h-8z\"><title>{title}</title></path>",
                y + 4.0
            ));
        }
        self.body.push_str(&marks);
        self.y += 18.0;
    }

    /// A row for a cluster's audit gap; its members follow.
    fn cluster(&mut self, cluster: &'a ClusterFacts) {
        let y = self.y;
        self.label(&format!("cluster {}", cluster.name), 8.0, y + 12.0, "soft");
        let gap = said::gap(cluster);
        for span in &cluster.gaps {
            let Some((x, width)) = self.axis.bar(span.from, span.to, 1.5) else { continue };
            self.body.push_str(&rect(
                "gap",
                x,
                y + 6.0,
                width,
                4.0,
                &format!("{gap}: {}", said::span(span)),
            ));
            // Its words stand where there is room.
            let (at, anchor) =
                if x + width < 780.0 { (x + width + 5.0, "start") } else { (x - 5.0, "end") };
            self.body.push_str(&format!(
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                y + 12.0,
                escape(&gap)
            ));
        }
        self.body.push('\n');
        self.y += 18.0;
        self.brackets.insert(&cluster.name, (self.y, self.y));
    }

    fn appliance(&mut self, member: &'a ApplianceFacts, thin: bool) {
        let (height, bar) = if thin { (4.0, 3.0) } else { (18.0, 12.0) };
        let y = self.y;
        let mut row = format!("<g><title>{}</title>", escape(&title(member)));
        if let Some(site) = self.sites.get(&member.site) {
            row.push_str(&format!(
                "<use href=\"#s-{site}\" transform=\"translate(0 {y:.0})scale(1 {height:.0})\"/>"
            ));
        }
        // What is thin or short stands above what is wide.
        let mut bars: Vec<&PhaseFacts> = member.phases.iter().take(BARS).collect();
        bars.sort_by_key(|bar| !matches!(bar.doing, Doing::Waiting | Doing::Failed));
        let top = y + (height - bar) / 2.0;
        for phase in bars {
            let least = if phase.doing == Doing::Down { 1.5 } else { 0.8 };
            let Some((x, width)) = self.axis.bar(phase.span.from, phase.span.to, least) else {
                continue;
            };
            let flat = matches!(phase.doing, Doing::Waiting | Doing::Failed);
            let (top, high) = if flat { (top + bar / 3.0, bar / 3.0) } else { (top, bar) };
            let class = format!("b-{}", phase.doing.class());
            if thin {
                row.push_str(&bare(&class, x, top, width, high));
                continue;
            }
            let length = words::duration(phase.span.length(self.facts.as_of));
            let told = format!(
                "{} {} for {length}: {}",
                member.name,
                phase.doing.name(),
                said::span(&phase.span)
            );
            row.push_str(&rect(&class, x, top, width, high, &told));
            if phase.doing == Doing::Failed {
                row.push_str(&format!(
                    "<path class=\"cross\" d=\"M{x:.1} {top:.1}m-4 -2l8 8m-8 0l8 -8\"/>"
                ));
            }
        }
        self.body.push_str(&row);
        if thin {
            if self.thin.is_multiple_of(SIGNPOST) {
                self.label(member.name.as_str(), 8.0, y + 8.0, "soft");
            }
            self.thin += 1;
        } else {
            let sign = match member.state {
                Phase::Failed => "\u{2717} ",
                state if state.is_upgraded() => "",
                _ => "\u{25cf} ",
            };
            let indent = if member.cluster.is_some() { 18.0 } else { 8.0 };
            self.label(&format!("{sign}{}", member.name), indent, y + 13.0, "");
        }
        self.body.push_str("</g>\n");
        self.y += height;
        if let Some(bracket) = member.cluster.as_ref().and_then(|name| self.brackets.get_mut(name))
        {
            bracket.1 = self.y;
        }
    }

    fn label(&mut self, text: &str, x: f64, y: f64, class: &str) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let cut = text.chars().count() > NAME;
        let short: String = text.chars().take(if cut { NAME - 1 } else { NAME }).collect();
        let dots = if cut { "\u{2026}" } else { "" };
        self.body.push_str(&format!(
            "<text{class} x=\"{x:.0}\" y=\"{y:.1}\">{}{dots}</text>",
            escape(&short)
        ));
    }

    fn finish(self, wave: &WaveFacts) -> String {
        let bottom = self.y + 4.0;
        let mut grid = String::new();
        for (x, said) in self.axis.marks() {
            // A word at the edge would be cut.
            let anchor = if x > 950.0 { "end" } else { "middle" };
            grid.push_str(&format!(
                "<path class=\"grid\" d=\"M{x:.1} {:.0}V{bottom:.0}\"/>\
                 <text class=\"soft\" x=\"{x:.1}\" y=\"12\" text-anchor=\"{anchor}\">{said}</text>\n",
                TOP - 4.0
            ));
        }
        let mut edges = String::new();
        for (cluster, (from, to)) in &self.brackets {
            edges.push_str(&format!(
                "<path class=\"edge\" d=\"M14 {:.1}H10V{:.1}H14\"><title>cluster {}</title></path>\n",
                from + 2.0,
                to - 2.0,
                escape(cluster.as_str())
            ));
        }
        for (at, what) in [(wave.started, "begins"), (wave.ended, "ends")] {
            if let Some(at) = at {
                let (x, when) = (self.axis.x(at), said::utc(at));
                edges.push_str(&format!(
                    "<path class=\"edge\" stroke-dasharray=\"2 3\" d=\"M{x:.1} {:.0}V{bottom:.0}\">\
                     <title>wave {} {what} {when}</title></path>\n",
                    TOP,
                    escape(wave.name.as_str())
                ));
            }
        }
        format!(
            "<figure><svg viewBox=\"0 0 1000 {bottom:.0}\" role=\"img\" \
             aria-label=\"Timeline of wave {}\">\n{grid}\
             <path class=\"grid\" d=\"M{LEFT:.0} {TOP:.0}V{bottom:.0}\"/>\n{}{edges}</svg></figure>\n",
            escape(wave.name.as_str()),
            self.body
        )
    }
}

/// What a row is, in one line.
fn title(member: &ApplianceFacts) -> String {
    let reason = member.reason.as_ref().map_or_else(String::new, |why| format!(" ({})", why.code));
    let down = match member.down.is_empty() {
        true => String::new(),
        false => format!(", down {}", said::downtime(member)),
    };
    format!("{} in {}: {}{reason}{down}", member.name, member.site, member.state.name())
}

fn rect(class: &str, x: f64, y: f64, width: f64, height: f64, title: &str) -> String {
    format!(
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\">\
         <title>{}</title></rect>",
        escape(title)
    )
}

fn bare(class: &str, x: f64, y: f64, width: f64, height: f64) -> String {
    format!(
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
    )
}
