//! Stories: planner and executor together, from YAML to what became of each appliance, in virtual
//! time. One file a story (`tests/stories/NAME.story`, its language: [`language`]), and beside it
//! what it tells (`NAME.out`). `UPDATE_STORIES=1` writes the latter anew; `STORY=NAME` plays only
//! those whose names begin so.

mod language;
mod limits;
mod props;
mod stage;
mod tale;

use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories")
}

/// All stories by name.
fn all() -> Vec<(String, String)> {
    let files = std::fs::read_dir(folder()).expect("the folder of stories");
    let mut stories: Vec<(String, String)> = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "story"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).expect("a story"))
        })
        .collect();
    stories.sort();
    stories
}

/// What a story tells.
fn played(name: &str, text: &str) -> stage::Played {
    let story = language::read(name, text);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    let mut played = runtime.block_on(stage::play(&story));
    played.text = format!("# {}\n{}", story.why, played.text);
    played
}

#[test]
fn every_story_is_told_as_before_and_breaks_nothing() {
    let update = std::env::var_os("UPDATE_STORIES").is_some();
    let only = std::env::var("STORY").unwrap_or_default();
    let mut wrong = Vec::new();
    for (name, text) in all().into_iter().filter(|(name, _)| name.starts_with(&only)) {
        let played = std::panic::catch_unwind(|| played(&name, &text));
        let Ok(played) = played else {
            wrong.push(format!("{name}: it broke off, see above"));
            continue;
        };
        for broken in &played.broken {
            wrong.push(format!("{name}: {broken}"));
        }
        let golden = folder().join(format!("{name}.out"));
        if update {
            std::fs::write(&golden, &played.text).expect("written");
            continue;
        }
        let before = std::fs::read_to_string(&golden).unwrap_or_default();
        if let Some(difference) = first_difference(&before, &played.text) {
            wrong.push(format!("{name}: {difference}"));
        }
    }
    assert!(wrong.is_empty(), "{}\n(UPDATE_STORIES=1 takes over what is told)", wrong.join("\n"));
}

fn first_difference(before: &str, now: &str) -> Option<String> {
    if before == now {
        return None;
    }
    let (mut before, mut now) = (before.lines(), now.lines());
    for line in 1.. {
        let (was, is) = (before.next(), now.next());
        if was != is {
            let (was, is) = (was.unwrap_or("(nothing)"), is.unwrap_or("(nothing)"));
            return Some(format!("line {line}\n    was: {was}\n    now: {is}"));
        }
        if was.is_none() {
            break;
        }
    }
    Some("its line ends differ".to_owned())
}
