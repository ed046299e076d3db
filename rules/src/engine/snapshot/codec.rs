//! How single values are written and read: numbers by postcard, names by their number in a dictionary that each
//! section carries. Reading never trusts a length: it grows with what has really been read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use citywatch_model::{Level, Mode, Name, RuleSource, RulesInForce, Time, Zones};
use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::{Array, SmallVec};
use ustr::UstrMap;

/// What is wrong with a body whose checksum holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damaged(pub String);

/// `true`, or that `what` is wrong.
pub(in crate::engine) fn ensure(holds: bool, what: &str) -> Result<(), Damaged> {
    if holds {
        Ok(())
    } else {
        Err(Damaged(what.to_owned()))
    }
}

/// State that is written and read.
pub(in crate::engine) trait Kept: Sized {
    fn write(&self, to: &mut Writer);

    /// # Errors
    /// If the bytes end or say something that cannot be.
    fn read(from: &mut Reader<'_>) -> Result<Self, Damaged>;
}

/// Writes and reads the named fields in turn; a field that is forgotten does not compile.
macro_rules! kept {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::engine::snapshot::codec::Kept for $name {
            fn write(&self, to: &mut $crate::engine::snapshot::codec::Writer) {
                let $name { $($field),+ } = self;
                $($field.write(to);)+
            }

            fn read(
                from: &mut $crate::engine::snapshot::codec::Reader<'_>,
            ) -> Result<$name, $crate::engine::snapshot::codec::Damaged> {
                $(let $field = $crate::engine::snapshot::codec::Kept::read(from)?;)+
                Ok($name { $($field),+ })
            }
        }
    };
}
pub(in crate::engine) use kept;

/// One section in the making.
#[derive(Default)]
pub(in crate::engine) struct Writer {
    bytes: Vec<u8>,
    numbers: UstrMap<u32>,
    names: Vec<Name>,
    failed: bool,
}

impl Writer {
    fn put<T: Serialize>(&mut self, value: &T) {
        self.failed |= postcard::to_io(value, &mut self.bytes).is_err();
    }

    /// The section: body, dictionary, and 8 bytes that say how long the body is. `None` if postcard refused a
    /// value.
    pub(in crate::engine) fn finish(mut self) -> Option<Vec<u8>> {
        let length = self.bytes.len() as u64;
        let names = std::mem::take(&mut self.names);
        self.put(&(names.len() as u64));
        for name in names {
            self.put(&name.as_str());
        }
        self.bytes.extend(length.to_le_bytes());
        (!self.failed).then_some(self.bytes)
    }
}

/// A section being read.
pub(in crate::engine) struct Reader<'a> {
    rest: &'a [u8],
    names: Vec<Name>,
}

impl<'a> Reader<'a> {
    pub(in crate::engine) fn new(section: &'a [u8]) -> Result<Reader<'a>, Damaged> {
        let cut = || Damaged("a section has no dictionary".to_owned());
        let (rest, length) = section.split_last_chunk::<8>().ok_or_else(cut)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut())?;
        let (body, dictionary) = rest.split_at_checked(length).ok_or_else(cut)?;
        let mut reader = Reader {
            rest: dictionary,
            names: Vec::new(),
        };
        let count = reader.count()?;
        let mut names = Vec::new();
        for _ in 0..count {
            let (name, rest) =
                postcard::take_from_bytes::<&str>(reader.rest).map_err(|error| broken(&error))?;
            names.push(Name::from(name));
            reader.rest = rest;
        }
        reader.end()?;
        Ok(Reader { rest: body, names })
    }

    fn take<T: DeserializeOwned>(&mut self) -> Result<T, Damaged> {
        let (value, rest) = postcard::take_from_bytes(self.rest).map_err(|error| broken(&error))?;
        self.rest = rest;
        Ok(value)
    }

    /// A number of things each of which takes a byte at least.
    pub(in crate::engine) fn count(&mut self) -> Result<usize, Damaged> {
        let count: u64 = self.take()?;
        let count = usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.rest.len());
        count.ok_or_else(|| Damaged("a list is longer than the section it stands in".to_owned()))
    }

    /// # Errors
    /// If there is more to read.
    pub(in crate::engine) fn end(&self) -> Result<(), Damaged> {
        ensure(self.rest.is_empty(), "a section goes on behind its end")
    }
}

fn broken(error: &postcard::Error) -> Damaged {
    Damaged(format!("a value cannot be read: {error}"))
}

/// Numbers and texts as postcard has them.
macro_rules! plain {
    ($($name:ty),+) => {
        $(impl Kept for $name {
            fn write(&self, to: &mut Writer) {
                to.put(self);
            }

            fn read(from: &mut Reader<'_>) -> Result<$name, Damaged> {
                from.take()
            }
        })+
    };
}
plain!(bool, u8, u32, u64, i64, f64, String);

impl Kept for Name {
    fn write(&self, to: &mut Writer) {
        let next = to.names.len() as u32;
        let number = *to.numbers.entry(*self).or_insert(next);
        if number == next {
            to.names.push(*self);
        }
        to.put(&number);
    }

    fn read(from: &mut Reader<'_>) -> Result<Name, Damaged> {
        let number = u32::read(from)?;
        let name = from.names.get(number as usize).copied();
        name.ok_or_else(|| Damaged(format!("name {number} is not in the dictionary")))
    }
}

impl Kept for Time {
    fn write(&self, to: &mut Writer) {
        self.millis().write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Time, Damaged> {
        let millis = i64::read(from)?;
        let time = Time::from_millis(millis);
        ensure(time.millis() == millis, "a time lies beyond the year 9999")?;
        Ok(time)
    }
}

impl Kept for Level {
    fn write(&self, to: &mut Writer) {
        self.rank().write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Level, Damaged> {
        let level = Level::from_rank(u8::read(from)?);
        level.ok_or_else(|| Damaged("a level is not one of the four".to_owned()))
    }
}

impl<T: Kept> Kept for Option<T> {
    fn write(&self, to: &mut Writer) {
        self.is_some().write(to);
        if let Some(value) = self {
            value.write(to);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Option<T>, Damaged> {
        bool::read(from)?.then(|| T::read(from)).transpose()
    }
}

impl<T: Kept> Kept for Box<T> {
    fn write(&self, to: &mut Writer) {
        T::write(self, to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Box<T>, Damaged> {
        T::read(from).map(Box::new)
    }
}

impl<A: Kept, B: Kept> Kept for (A, B) {
    fn write(&self, to: &mut Writer) {
        self.0.write(to);
        self.1.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<(A, B), Damaged> {
        Ok((A::read(from)?, B::read(from)?))
    }
}

impl<T: Kept> Kept for Vec<T> {
    fn write(&self, to: &mut Writer) {
        write_all(to, self.len(), self);
    }

    fn read(from: &mut Reader<'_>) -> Result<Vec<T>, Damaged> {
        read_all(from)
    }
}

impl<T: Kept> Kept for VecDeque<T> {
    fn write(&self, to: &mut Writer) {
        write_all(to, self.len(), self);
    }

    fn read(from: &mut Reader<'_>) -> Result<VecDeque<T>, Damaged> {
        read_all(from)
    }
}

impl<A: Array> Kept for SmallVec<A>
where
    A::Item: Kept,
{
    fn write(&self, to: &mut Writer) {
        write_all(to, self.len(), self);
    }

    fn read(from: &mut Reader<'_>) -> Result<SmallVec<A>, Damaged> {
        read_all(from)
    }
}

impl<T: Kept + Ord> Kept for BTreeSet<T> {
    fn write(&self, to: &mut Writer) {
        write_all(to, self.len(), self);
    }

    fn read(from: &mut Reader<'_>) -> Result<BTreeSet<T>, Damaged> {
        read_all(from)
    }
}

impl<K: Kept + Ord, V: Kept> Kept for BTreeMap<K, V> {
    fn write(&self, to: &mut Writer) {
        (self.len() as u64).write(to);
        for (key, value) in self {
            key.write(to);
            value.write(to);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<BTreeMap<K, V>, Damaged> {
        read_all::<(K, V), _>(from)
    }
}

/// How many, then one after the other.
fn write_all<'a, T: Kept + 'a>(
    to: &mut Writer,
    count: usize,
    values: impl IntoIterator<Item = &'a T>,
) {
    (count as u64).write(to);
    values.into_iter().for_each(|value| value.write(to));
}

fn read_all<T: Kept, C: FromIterator<T>>(from: &mut Reader<'_>) -> Result<C, Damaged> {
    let count = from.count()?;
    (0..count).map(|_| T::read(from)).collect()
}

impl Kept for Mode {
    fn write(&self, to: &mut Writer) {
        (*self as u8).write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Mode, Damaged> {
        match u8::read(from)? {
            0 => Ok(Mode::Live),
            1 => Ok(Mode::Shadow),
            2 => Ok(Mode::Off),
            _ => Err(Damaged("a mode of a rule is unknown".to_owned())),
        }
    }
}

kept!(RuleSource { file, text });
kept!(RulesInForce {
    version,
    sources,
    rule_versions,
    modes
});
kept!(Zones {
    parents,
    time_zones,
    time_zone
});
