//! Power losses: the real program writes to a recorded disk, which forgets at random what was not made durable, at any moment.
//!
//! In a round, programs start on a folder one after the other, change users from several threads, and are killed or end. What
//! they did with their files is recorded, with what was acknowledged at which moment. Then the power is lost at many moments of
//! the recording: a service that starts from what the disk may have then must show every change that was acknowledged before.
//! The next round begins with one of these folders.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use chassis::testing::{
    Answer, Call, Dice, Event, FailingCalls, FaultyDisk, Process, Recording, VolatileDisk, call, get, until,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    fixture::{Folder, Users, as_admin, demo},
    process::{command, creating, renaming},
};

/// Users that are renamed all the time. The record of the first has a field of 300 KiB, which this version does not know, so
/// that the log is compacted after four changes of it.
const RENAMED: [i64; 3] = [1, 2, 3];
/// Power losses in each round.
const LOSSES: usize = 40;
/// Events that are shown where something was lost.
const SHOWN_EVENTS: usize = 150;
/// Programs in a round, one after the other.
const LIVES_MAX: usize = 3;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// The rounds of the test: a few, or as many as this environment variable says.
fn rounds() -> usize {
    env::var("USERS_TEST_POWER_ROUNDS").map_or(6, |rounds| rounds.parse().unwrap())
}

/// The seed of the random decisions. The threads of the programs decide, too, so that another run differs a little.
fn seed() -> u64 {
    env::var("USERS_TEST_POWER_SEED").map_or_else(|_| Dice::seed(), |seed| seed.parse().unwrap())
}

/// What is known of the users at a moment of a recording.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The full names that a user may have: the last one that was acknowledged, and one that is being written.
    names: BTreeMap<i64, Vec<String>>,
    /// The users that must be there.
    present: BTreeMap<String, i64>,
    /// Names of users that are being made or deleted.
    doubtful: BTreeSet<String>,
    /// The highest id that was ever shown.
    id_max: i64,
}

impl Known {
    /// Takes a note of a client into account: what it tries, or what was answered.
    fn learn(&mut self, note: &str) {
        let words: Vec<&str> = note.split(' ').collect();
        match words[..] {
            ["rename", id, name] => self.name(id).push(name.to_owned()),
            ["renamed", id, name] => *self.name(id) = vec![name.to_owned()],
            ["not-renamed", id, name] => self.name(id).retain(|kept| kept != name),
            ["create", name] => drop(self.doubtful.insert(name.to_owned())),
            ["created", name, id] => {
                let id = id.parse().unwrap();
                self.doubtful.remove(name);
                self.present.insert(name.to_owned(), id);
                assert!(id > self.id_max, "the id {id} was given again");
            }
            ["delete", name] => {
                self.present.remove(name);
                self.doubtful.insert(name.to_owned());
            }
            ["not-created" | "deleted", name] => drop(self.doubtful.remove(name)),
            ["not-deleted", name, id] => {
                self.doubtful.remove(name);
                self.present.insert(name.to_owned(), id.parse().unwrap());
            }
            _ => panic!("no note: {note}"),
        }
        self.id_max = self.id_max.max(self.present.values().max().copied().unwrap_or_default());
    }

    fn name(&mut self, id: &str) -> &mut Vec<String> {
        self.names.get_mut(&id.parse().unwrap()).unwrap()
    }

    /// Starts a service from these files, compares what it shows, and returns this: it is what is known from now on.
    fn compare(&self, files: &BTreeMap<String, Vec<u8>>, context: &str) -> Self {
        let users = Users::start(folder_of(files), demo).unwrap_or_else(|error| panic!("{context}: {error}"));
        let list = users.admin(get("/api/users")).json();
        let list: Vec<&Value> = list.as_array().unwrap().iter().collect();
        let id_of = |user: &Value| user["id"].as_i64().unwrap();
        let mut shown = Self { id_max: self.id_max, ..Self::default() };
        for user in &list {
            let id = id_of(user);
            let full_name = user["full_name"].as_str().unwrap_or_default().to_owned();
            if let Some(possible) = self.names.get(&id) {
                assert!(possible.contains(&full_name), "{context}: user {id} is {full_name}, none of {possible:?}");
                shown.names.insert(id, vec![full_name]);
            } else {
                shown.present.insert(user["username"].as_str().unwrap().to_owned(), id);
            }
        }
        assert_eq!(shown.names.len(), RENAMED.len(), "{context}: {list:?}");
        let mut certain = shown.present.clone();
        certain.retain(|name, _| !self.doubtful.contains(name));
        assert_eq!(certain, self.present, "{context}");
        let id = users.create("afterwards");
        assert!(list.iter().all(|user| id > id_of(user)) && id > self.id_max, "{context}: the id {id} was given again");
        shown.id_max = shown.id_max.max(shown.present.values().max().copied().unwrap_or_default());
        shown
    }
}

/// A new folder with these files.
fn folder_of(files: &BTreeMap<String, Vec<u8>>) -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.data()).unwrap();
    for (name, content) in files {
        fs::write(folder.data().join(name), content).unwrap();
    }
    folder
}

/// A client of a program that may end at any moment.
struct Client<'a> {
    process: &'a Process,
    recording: &'a Recording,
    acknowledged: &'a AtomicUsize,
}

impl Client<'_> {
    /// Makes a change, and notes what was tried and what came of it. Returns nothing once the outcome is unknown.
    fn change(&self, call: &Call, tried: &str, refused: &str, done: impl Fn(&Answer) -> String) -> Option<Answer> {
        self.recording.note(tried);
        let answer = call.try_send(self.process.addr())?;
        if answer.status < 300 {
            self.recording.note(&done(&answer));
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        } else if answer.problem() == "outcome_unknown" {
            return None;
        } else {
            self.recording.note(refused);
        }
        Some(answer)
    }

    fn rename_until_gone(&self, id: i64, prefix: &str) {
        for n in 0.. {
            let name = format!("{prefix}-{n}");
            let notes = ["rename", "renamed", "not-renamed"].map(|verb| format!("{verb} {id} {name}"));
            let changed = self.change(&renaming(id, &name), &notes[0], &notes[2], |_| notes[1].clone());
            if changed.is_none() {
                break;
            }
        }
    }

    /// Makes users, and deletes every second one.
    fn create_until_gone(&self, prefix: &str) {
        for n in 0.. {
            let name = format!("{prefix}-{n}");
            let id_of = |answer: &Answer| answer.json()["id"].clone();
            let [tried, refused] = ["create", "not-created"].map(|verb| format!("{verb} {name}"));
            let created = |answer: &Answer| format!("created {name} {}", id_of(answer));
            let Some(answer) = self.change(&creating(&name), &tried, &refused, created) else { break };
            if n % 2 == 1 && answer.status == 201 {
                let id = id_of(&answer);
                let delete = as_admin(call("DELETE", &format!("/api/users/{id}")));
                let (tried, refused) = (format!("delete {name}"), format!("not-deleted {name} {id}"));
                if self.change(&delete, &tried, &refused, |_| format!("deleted {name}")).is_none() {
                    break;
                }
            }
        }
    }
}

/// One program: it changes users until some changes are acknowledged, or it ends by itself. It may have a fault of its own.
fn live(folder: &Folder, disk: &FaultyDisk, recording: &Recording, prefix: &str, dice: &mut Dice) {
    let mut program = command(&folder.data());
    disk.record(disk.attach_to(&mut program), recording);
    let number = u32::try_from(dice.number(1..30)).unwrap();
    let fault = match dice.number(0..4) {
        0 => Some(FailingCalls { kind: "fsync", numbers: number..=number, errno: EIO }),
        1 => Some(FailingCalls { kind: "write", numbers: number..=number + 5, errno: ENOSPC }),
        2 => Some(FailingCalls { kind: "rename", numbers: number..=number, errno: EIO }),
        _ => None,
    };
    disk.fail_calls(&mut program, fault.as_slice());
    let process = Process::spawn(&mut program);
    if !process.has_started() {
        let (status, said) = process.ended();
        assert!(fault.is_some() && status.code() == Some(1), "{status}: {said}");
        return;
    }
    let (acknowledged, enough) = (AtomicUsize::new(0), dice.number(10..60));
    thread::scope(|scope| {
        let client = || Client { process: &process, recording, acknowledged: &acknowledged };
        for id in RENAMED {
            let client = client();
            scope.spawn(move || client.rename_until_gone(id, prefix));
        }
        let client = client();
        scope.spawn(move || client.create_until_gone(prefix));
        until("enough changes or the end", || acknowledged.load(Ordering::Relaxed) >= enough || process.has_ended());
        if dice.once_in(4) { process.try_signal("TERM") } else { disk.fail("crash") }
    });
    process.ended();
    disk.heal_if_failing("crash");
}

/// The last events before a power loss, and what it left.
fn describe(events: &[Event], files: &BTreeMap<String, Vec<u8>>) -> String {
    let shown = events.len().saturating_sub(SHOWN_EVENTS);
    let events = events[shown..].iter().map(|event| format!("\n  {event}")).collect::<String>();
    let files = files.iter().map(|(name, content)| format!("\n  {name}: {} bytes", content.len())).collect::<String>();
    format!("after event {shown} and{events}\nthe disk had{files}\n")
}

/// The moments of the power losses: any, those where names have just changed, which are few, and the last.
fn moments(events: &[Event], dice: &mut Dice) -> BTreeSet<usize> {
    let renames = |event: &Event| match event {
        Event::Open { is_new, .. } => *is_new,
        Event::Rename { .. } | Event::Unlink { .. } => true,
        Event::Start | Event::Write { .. } | Event::Truncate { .. } | Event::Sync { .. } | Event::Note(_) => false,
    };
    let renamed: Vec<usize> = (0..events.len()).filter(|moment| renames(&events[*moment])).collect();
    let mut moments = BTreeSet::from([events.len() - 1]);
    while moments.len() < LOSSES.min(events.len()) {
        let is_any = renamed.is_empty() || dice.once_in(2);
        moments.insert(if is_any { dice.number(0..events.len()) } else { renamed[dice.number(0..renamed.len())] });
    }
    moments
}

#[test]
fn nothing_that_was_acknowledged_is_lost_by_a_power_loss() {
    let (seed, control) = (seed(), TempDir::new().unwrap());
    let mut dice = Dice::new(seed);
    let hash = "$2b$12$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2";
    let user = |id: i64, notes: String| json!({"id": id, "username": format!("user-{id}"), "user_type": "admin", "hashed_password": hash, "notes": notes});
    let users = json!([user(1, "x".repeat(300 * 1024)), user(2, String::new()), user(3, String::new())]);
    let mut files = BTreeMap::from([("users.json".to_owned(), users.to_string().into_bytes())]);
    let mut known = Known { names: RENAMED.map(|id| (id, vec![String::new()])).into(), id_max: 3, ..Known::default() };
    let disk = FaultyDisk::new(control.path(), control.path());
    let (mut losses, mut states) = (0, BTreeSet::new());
    for round in 0..rounds() {
        let folder = folder_of(&files);
        let mut volatile = VolatileDisk::of(&folder.data());
        let recording = Recording::new(control.path().join(format!("recording-{round}")));
        for life in 0..dice.number(0..LIVES_MAX) + 1 {
            live(&folder, &disk.at(&folder.data()), &recording, &format!("r{round}-{life}"), &mut dice);
        }
        let events = recording.events();
        let moments = moments(&events, &mut dice);
        let mut shown = known.clone();
        for (moment, event) in events.iter().enumerate() {
            volatile.apply(event);
            if let Event::Note(note) = event {
                known.learn(note);
            }
            if moments.contains(&moment) {
                files = volatile.after_power_loss(&mut dice);
                let context = format!("seed {seed}, round {round}, {}", describe(&events[..=moment], &files));
                states.insert(
                    files.iter().map(|(name, content)| format!("{name}:{} ", content.len())).collect::<String>(),
                );
                shown = known.compare(&files, &context);
                losses += 1;
            }
        }
        known = shown;
    }
    eprintln!("seed {seed}: {losses} power losses, which left {} different folders", states.len());
}
