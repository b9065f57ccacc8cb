//! A disk that forgets in a power loss what was not made durable. Knows nothing of what is in the files.
//!
//! It promises no more than POSIX does. A write is durable after an fsync of its file; before, any of its blocks may be on the
//! disk, in any order, and the length of the file may be there without them. A new name, a rename and a removal are durable after
//! an fsync of the folder; before, any of them may be there, in any order, but a rename is done whole or not at all. After an
//! fsync of a file that failed, the next one reports success although what it was about is lost: the kernel has dropped it. (Not
//! so of a folder: file systems that fail to write one accept no more changes.)
//!
//! The tricky part is that file systems promise more, each something else, and that a store must not depend on it: so a disk that
//! is worse than all of them is the one to test with.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use super::{dice::Dice, recording::Event};

/// What a disk writes whole or not at all.
const BLOCK_BYTES: usize = 512;

type FileId = usize;
type Names = BTreeMap<String, FileId>;

/// A folder, as programs see it and as it is on the disk.
#[derive(Debug, Default)]
pub struct VolatileDisk {
    files: Vec<File>,
    open: HashMap<i32, Opened>,
    names: Names,
    durable_names: Names,
    /// Changes of names since the last fsync of the folder.
    renamed: Vec<NameChange>,
}

#[derive(Debug)]
enum Opened {
    Folder,
    /// Something that is not followed: a folder in the folder, or what is in it.
    Other,
    File {
        id: FileId,
        position: usize,
        appends: bool,
    },
}

#[derive(Debug)]
enum NameChange {
    Create { name: String, id: FileId },
    Rename { from: String, to: String, id: FileId },
    Remove { name: String, id: FileId },
}

/// The content of a file, whatever its name is.
#[derive(Debug, Default)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Changes since the last fsync.
    changes: Vec<Change>,
    /// How many of them an fsync that failed has dropped.
    dropped: usize,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Cut { length: usize },
}

impl VolatileDisk {
    /// A disk on which every file in this folder is durable. Other folders in it are not followed.
    ///
    /// # Panics
    /// Where it cannot be read.
    pub fn of(folder: &Path) -> Self {
        let mut disk = Self::default();
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry of a folder");
            if !entry.path().is_file() {
                continue;
            }
            let content = fs::read(entry.path()).expect("a file");
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            disk.names.insert(name, disk.files.len());
            disk.files.push(File { now: content.clone(), durable: content, ..File::default() });
        }
        disk.durable_names = disk.names.clone();
        disk
    }

    /// Does what a program did.
    ///
    /// # Panics
    /// Where a program could not have done it.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Start => self.open.clear(),
            Event::Open { fd, is_new, is_cut, appends, name } => {
                let opened = self.opened(name, *is_new, *is_cut, *appends);
                self.open.insert(*fd, opened);
            }
            Event::Write { fd, at, bytes } => self.write(*fd, *at, bytes),
            Event::Truncate { fd, length } => {
                if let Opened::File { id, .. } = self.open[fd] {
                    self.files[id].change(Change::Cut { length: *length });
                }
            }
            Event::Sync { fd, has_succeeded } => match self.open[fd] {
                Opened::Folder if *has_succeeded => self.sync_names(),
                Opened::Folder | Opened::Other => {}
                Opened::File { id, .. } => self.files[id].sync(*has_succeeded),
            },
            // A name that no file was opened by is that of a socket, of which nothing is kept.
            Event::Rename { from, to } => {
                if let Some(id) = self.names.get(from).copied() {
                    self.rename(NameChange::Rename { from: from.clone(), to: to.clone(), id });
                }
            }
            Event::Unlink { name } => {
                if let Some(id) = self.names.get(name).copied() {
                    self.rename(NameChange::Remove { name: name.clone(), id });
                }
            }
            Event::Note(_) => {}
        }
    }

    /// What may be on the disk after a power loss at this moment: the files by their names.
    pub fn after_power_loss(&self, dice: &mut Dice) -> BTreeMap<String, Vec<u8>> {
        let mut names = self.durable_names.clone();
        let kept = Kept::any(dice);
        for change in self.renamed.iter().filter(|_| kept.is_kept(dice)) {
            change.apply(&mut names);
        }
        names.into_iter().map(|(name, id)| (name, self.files[id].after_power_loss(dice))).collect()
    }

    fn opened(&mut self, name: &str, is_new: bool, is_cut: bool, appends: bool) -> Opened {
        if name.is_empty() {
            return Opened::Folder;
        }
        if name.contains('/') || !(is_new || self.names.contains_key(name)) {
            return Opened::Other;
        }
        if is_new {
            self.files.push(File::default());
            self.rename(NameChange::Create { name: name.to_owned(), id: self.files.len() - 1 });
        }
        let id = self.names[name];
        if is_cut && !self.files[id].now.is_empty() {
            self.files[id].change(Change::Cut { length: 0 });
        }
        Opened::File { id, position: 0, appends }
    }

    fn write(&mut self, fd: i32, at: Option<usize>, bytes: &[u8]) {
        let Some(Opened::File { id, position, appends }) = self.open.get_mut(&fd) else { return };
        let file = &mut self.files[*id];
        let start = at.unwrap_or(if *appends { file.now.len() } else { *position });
        if at.is_none() {
            *position = start + bytes.len();
        }
        file.change(Change::Write { at: start, bytes: bytes.to_owned() });
    }

    fn rename(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.renamed.push(change);
    }

    fn sync_names(&mut self) {
        self.durable_names.clone_from(&self.names);
        self.renamed.clear();
    }
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Create { name, id } => {
                names.insert(name.clone(), *id);
            }
            Self::Rename { from, to, id } => {
                remove(names, from, *id);
                names.insert(to.clone(), *id);
            }
            Self::Remove { name, id } => remove(names, name, *id),
        }
    }
}

/// Removes the name of a file, unless another one has it by now.
fn remove(names: &mut Names, name: &str, id: FileId) {
    if names.get(name) == Some(&id) {
        names.remove(name);
    }
}

impl File {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.changes.push(change);
    }

    fn sync(&mut self, has_succeeded: bool) {
        if !has_succeeded {
            self.dropped = self.changes.len();
        } else if self.changes.len() > self.dropped {
            self.changes.drain(..).skip(self.dropped).for_each(|change| change.apply(&mut self.durable));
            self.dropped = 0;
        }
    }

    /// Every change may be there, or none, or those before some moment, the last of them in part; or any block of them.
    fn after_power_loss(&self, dice: &mut Dice) -> Vec<u8> {
        let mut content = self.durable.clone();
        if self.changes.is_empty() {
            return content;
        }
        match dice.number(0..4) {
            0 => {}
            1 => self.changes.iter().for_each(|change| change.apply(&mut content)),
            2 => {
                let whole = dice.number(0..self.changes.len());
                self.changes[..whole].iter().for_each(|change| change.apply(&mut content));
                self.changes[whole].apply_in_part(&mut content, dice);
            }
            _ => {
                let mut complete = self.durable.clone();
                self.changes.iter().for_each(|change| change.apply(&mut complete));
                content = mix(&content, &complete, dice);
            }
        }
        content
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => write_at(content, *at, bytes),
            Self::Cut { length } => content.resize(*length, 0),
        }
    }

    fn apply_in_part(&self, content: &mut Vec<u8>, dice: &mut Dice) {
        if let Self::Write { at, bytes } = self {
            write_at(content, *at, &bytes[..dice.number(0..bytes.len() + 1)]);
        }
    }
}

fn write_at(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    content.resize(content.len().max(end), 0);
    content[at..end].copy_from_slice(bytes);
}

/// A file of which any block may be old or new, with a length between both. What was never written reads as zeros.
fn mix(old: &[u8], new: &[u8], dice: &mut Dice) -> Vec<u8> {
    let (shorter, longer) = (old.len().min(new.len()), old.len().max(new.len()));
    let length = match dice.number(0..3) {
        0 => old.len(),
        1 => new.len(),
        _ => dice.number(shorter..longer + 1),
    };
    let kept = Kept::any(dice);
    let mut mixed = Vec::with_capacity(length);
    while mixed.len() < length {
        let block = mixed.len()..length.min(mixed.len() + BLOCK_BYTES);
        let source = if kept.is_kept(dice) { new } else { old };
        let from = &source[block.start.min(source.len())..block.end.min(source.len())];
        mixed.extend_from_slice(from);
        mixed.resize(block.end, 0);
    }
    mixed
}

/// How many of some changes are there.
#[derive(Clone, Copy, Debug)]
enum Kept {
    None,
    Some,
    Most,
    All,
}

impl Kept {
    fn any(dice: &mut Dice) -> Self {
        [Self::None, Self::Some, Self::Most, Self::All][dice.number(0..4)]
    }

    fn is_kept(self, dice: &mut Dice) -> bool {
        match self {
            Self::None => false,
            Self::Some => dice.once_in(2),
            Self::Most => !dice.once_in(8),
            Self::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(name: &str, fd: i32, is_new: bool) -> Event {
        Event::Open { fd, is_new, is_cut: false, appends: true, name: name.to_owned() }
    }

    fn write(fd: i32, text: &str) -> Event {
        Event::Write { fd, at: None, bytes: text.as_bytes().to_owned() }
    }

    const fn sync(fd: i32, has_succeeded: bool) -> Event {
        Event::Sync { fd, has_succeeded }
    }

    fn rename(from: &str, to: &str) -> Event {
        Event::Rename { from: from.to_owned(), to: to.to_owned() }
    }

    /// Everything that may be on the disk after these events, in 500 power losses.
    fn possible(events: &[Event]) -> Vec<BTreeMap<String, String>> {
        let mut disk = VolatileDisk::default();
        events.iter().for_each(|event| disk.apply(event));
        let mut dice = Dice::new(7);
        let mut found = Vec::new();
        for _ in 0..500 {
            let files = disk.after_power_loss(&mut dice).into_iter();
            let files = files.map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap())).collect();
            if !found.contains(&files) {
                found.push(files);
            }
        }
        found.sort();
        found
    }

    fn files<const N: usize>(files: [(&str, &str); N]) -> BTreeMap<String, String> {
        files.map(|(name, content)| (name.to_owned(), content.to_owned())).into()
    }

    #[test]
    fn what_was_made_durable_is_there_and_of_the_rest_any_part() {
        let durable = [open("", 3, false), open("a", 4, true), write(4, "12"), sync(4, true), sync(3, true)];
        assert_eq!(possible(&durable), [files([("a", "12")])]);
        let more = [&durable[..], &[write(4, "3")]].concat();
        assert_eq!(possible(&more), [files([("a", "12")]), files([("a", "12\0")]), files([("a", "123")])]);
    }

    #[test]
    fn a_name_is_durable_after_an_fsync_of_its_folder_only() {
        let created = [open("", 3, false), open("a", 4, true), write(4, "1"), sync(4, true)];
        assert_eq!(possible(&created), [files([]), files([("a", "1")])]);
        let renamed = [&created[..], &[sync(3, true), rename("a", "b")]].concat();
        assert_eq!(possible(&renamed), [files([("a", "1")]), files([("b", "1")])]);
        let removed = [&renamed[..], &[sync(3, true), Event::Unlink { name: "b".to_owned() }]].concat();
        assert_eq!(possible(&removed), [files([]), files([("b", "1")])]);
    }

    #[test]
    fn renames_may_be_durable_in_any_order() {
        let both = [open("", 3, false), open("a", 4, true), open("b", 5, true), sync(3, true)];
        let renamed = [&both[..], &[rename("a", "c"), rename("b", "a")]].concat();
        assert!(possible(&renamed).contains(&files([("a", "")])), "the second without the first");
    }

    #[test]
    fn what_an_fsync_that_failed_has_dropped_is_lost_although_the_next_one_succeeds() {
        let dropped = [open("", 3, false), open("a", 4, true), sync(3, true), write(4, "1"), sync(4, false)];
        assert!(possible(&[&dropped[..], &[sync(4, true)]].concat()).contains(&files([("a", "")])));
        let after = [&dropped[..], &[write(4, "2"), sync(4, true)]].concat();
        assert_eq!(possible(&after), [files([("a", "\x002")])]);
    }
}
