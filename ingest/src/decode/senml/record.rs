//! One SenML record: its labels, the base fields that hold for it, and what both make together.

use std::borrow::Cow;

use citywatch_model::Time;

use super::names;
use crate::decode::citywatch::message::shown;
use crate::decode::json::Node;
use crate::decode::{Context, DecodedValue};
use crate::rejected::Reason;

/// Why something is not taken, and what to send instead.
pub(super) type Wrong = (Reason, String);

/// The newest version of SenML that is understood (RFC 8428, section 4.4).
const VERSION: f64 = 10.0;
/// Times below are relative to now, in seconds (RFC 8428, section 4.5.3).
const FIRST_ABSOLUTE: f64 = 268_435_456.0;
/// The year 5138: beyond it somebody sends milliseconds.
const LAST_SECOND: f64 = 1e11;

/// The labels of RFC 8428 in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Bn,
    Bt,
    Bu,
    Bv,
    Bs,
    Bver,
    N,
    U,
    V,
    Vs,
    Vb,
    Vd,
    S,
    T,
    Ut,
}

const LABELS: [(&str, Label); 15] = [
    ("bn", Label::Bn),
    ("bt", Label::Bt),
    ("bu", Label::Bu),
    ("bv", Label::Bv),
    ("bs", Label::Bs),
    ("bver", Label::Bver),
    ("n", Label::N),
    ("u", Label::U),
    ("v", Label::V),
    ("vs", Label::Vs),
    ("vb", Label::Vb),
    ("vd", Label::Vd),
    ("s", Label::S),
    ("t", Label::T),
    ("ut", Label::Ut),
];

impl Label {
    fn find(text: &str) -> Option<Label> {
        LABELS
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, label)| *label)
    }

    fn word(self) -> &'static str {
        LABELS[self as usize].0
    }

    fn is_base(self) -> bool {
        self.word().starts_with('b')
    }
}

/// The fields of one record, not yet judged.
pub(super) struct Record<'a> {
    slots: [Option<Node<'a>>; LABELS.len()],
    /// A label that stands twice, so that nobody can tell which of its values is meant.
    twice: Option<Label>,
    /// A label that must be understood and is not.
    foreign: Option<Cow<'a, str>>,
}

/// Base fields as they hold at some record.
#[derive(Default)]
pub(super) struct Base<'a> {
    name: Cow<'a, str>,
    time: Option<f64>,
    unit: Option<Cow<'a, str>>,
    value: Option<f64>,
    sum: Option<f64>,
}

/// What a record says with its base.
pub(super) struct Resolved<'a> {
    pub(super) sensor: Cow<'a, str>,
    /// `None` for "about now".
    pub(super) time: Option<Time>,
    pub(super) values: Vec<DecodedValue<'a>>,
    /// Values that are not taken.
    pub(super) wrong: Vec<Wrong>,
}

impl<'a> Base<'a> {
    /// Takes the base fields out of `record`. After an error nothing that follows can be understood.
    pub(super) fn update(&mut self, record: &mut Record<'a>) -> Result<(), Wrong> {
        if let Some(label) = record.twice.filter(|label| label.is_base()) {
            return Err(stands_twice(label));
        }
        if let Some(name) = record.text(Label::Bn)? {
            self.name = name;
        }
        if let Some(unit) = record.text(Label::Bu)? {
            self.unit = Some(unit);
        }
        self.time = record.number(Label::Bt)?.or(self.time);
        self.value = record.number(Label::Bv)?.or(self.value);
        self.sum = record.number(Label::Bs)?.or(self.sum);
        Ok(())
    }
}

impl<'a> Record<'a> {
    pub(super) fn new(fields: Vec<(Cow<'a, str>, Node<'a>)>) -> Record<'a> {
        let mut record = Record {
            slots: Default::default(),
            twice: None,
            foreign: None,
        };
        for (key, node) in fields {
            match Label::find(&key) {
                Some(label) => {
                    let slot = &mut record.slots[label as usize];
                    if slot.replace(node).is_some() {
                        record.twice = Some(label);
                    }
                }
                None if key.ends_with('_') => record.foreign = Some(key),
                None => {}
            }
        }
        record
    }

    /// What decides about the whole pack: its version, and extensions that must be understood.
    pub(super) fn check_pack(&self) -> Result<(), Wrong> {
        if let Some(label) = &self.foreign {
            let detail = format!(
                "the label `{}` must be understood to read the pack, and is not: send it without that extension",
                shown(label)
            );
            return Err((Reason::Unsupported, detail));
        }
        let version = match &self.slots[Label::Bver as usize] {
            None => return Ok(()),
            Some(Node::Integer(version)) => *version as f64,
            Some(Node::Float(version)) => *version,
            Some(_) => f64::NAN,
        };
        if version > VERSION {
            let detail =
                format!("`bver` {version} is newer than {VERSION}, the newest version known here");
            return Err((Reason::Unsupported, detail));
        }
        if !(version >= 1.0 && version.fract() == 0.0) {
            let detail = "`bver` is no positive integer: send 10, or leave it out";
            return Err((Reason::WrongType, detail.to_owned()));
        }
        Ok(())
    }

    /// Whether the record only sets the base of those after it.
    pub(super) fn is_base_only(&self) -> bool {
        LABELS
            .iter()
            .all(|(_, label)| label.is_base() || self.slots[*label as usize].is_none())
    }

    /// What the record says with its base.
    pub(super) fn resolve(
        mut self,
        base: &Base<'a>,
        context: &Context<'a>,
    ) -> Result<Resolved<'a>, Wrong> {
        if let Some(label) = self.twice {
            return Err(stands_twice(label));
        }
        let (sensor, measurement) = self.names(base, context)?;
        let time = self.time(base, context.arrival)?;
        let unit = self.text(Label::U)?.or_else(|| base.unit.clone());
        let unit = match unit.unwrap_or_default() {
            ratio if ratio == "/" || ratio == "%" => Cow::Borrowed("1"),
            other => other,
        };
        let sum = match (self.number(Label::S)?, base.sum) {
            (None, None) => None,
            (own, base) => Some(finite(Label::S, own.unwrap_or(0.0) + base.unwrap_or(0.0))?),
        };
        let (mut values, mut wrong) = (Vec::new(), Vec::new());
        match self.value(base.value, sum.is_some()) {
            Ok(Some(value)) => values.push(DecodedValue {
                measurement: measurement.clone(),
                value,
                unit: unit.clone(),
            }),
            Ok(None) => {}
            Err(error) => wrong.push(error),
        }
        if let Some(value) = sum {
            let unit = match unit.is_empty() {
                true => unit,
                false => Cow::Owned(format!("{unit}.s")),
            };
            values.push(DecodedValue {
                measurement: Cow::Owned(format!("{measurement}_sum")),
                value,
                unit,
            });
        }
        Ok(Resolved {
            sensor,
            time,
            values,
            wrong,
        })
    }

    fn names(
        &mut self,
        base: &Base<'a>,
        context: &Context<'a>,
    ) -> Result<(Cow<'a, str>, Cow<'a, str>), Wrong> {
        let own = self.text(Label::N)?.unwrap_or_default();
        let whole = || format!("{}{own}", base.name);
        let named = !base.name.is_empty() || !own.is_empty();
        if named && !names::is_valid(&whole()) {
            let detail = format!(
                "the name `{}` must start with a letter or digit of ASCII and hold only those and - : . / _",
                shown(&whole())
            );
            return Err((Reason::BadName, detail));
        }
        names::split(&base.name, &own, context).ok_or_else(|| {
            let detail = "no sensor is named: add `bn` or `n`, or publish on a topic with {sensor}";
            (Reason::NoSensor, detail.to_owned())
        })
    }

    fn time(&mut self, base: &Base<'a>, arrival: Time) -> Result<Option<Time>, Wrong> {
        // the time of the next transmission tells nothing about the value, but must be a number
        self.number(Label::Ut)?;
        let seconds = match (base.time, self.number(Label::T)?) {
            (None, None) => return Ok(None),
            (base, own) => base.unwrap_or(0.0) + own.unwrap_or(0.0),
        };
        if seconds.abs() >= LAST_SECOND || !seconds.is_finite() {
            let detail = format!(
                "the time {seconds} is out of range: send seconds since 1970, not milliseconds"
            );
            return Err((Reason::BadTime, detail));
        }
        let millis = (seconds * 1_000.0).round() as i64;
        Ok(match seconds {
            seconds if seconds >= FIRST_ABSOLUTE => Some(Time::from_millis(millis)),
            // zero says that the sensor does not know the time
            _ if millis == 0 => None,
            _ => Some(Time::from_millis(arrival.millis().saturating_add(millis))),
        })
    }

    fn value(&mut self, base: Option<f64>, has_sum: bool) -> Result<Option<f64>, Wrong> {
        let given = [Label::V, Label::Vs, Label::Vb, Label::Vd]
            .into_iter()
            .filter(|label| self.slots[*label as usize].is_some());
        let given: Vec<Label> = given.collect();
        match given.as_slice() {
            [] if base.is_some() => Ok(base),
            [] if has_sum => Ok(None),
            [] => {
                let detail =
                    "there is none of `v`, `vb`, `vs`, `vd` and `s`: send one, or only base fields";
                Err((Reason::NoValue, detail.to_owned()))
            }
            [Label::V] => {
                let own = self.number(Label::V)?.unwrap_or(0.0);
                finite(Label::V, own + base.unwrap_or(0.0)).map(Some)
            }
            [Label::Vb] => match self.slots[Label::Vb as usize].take() {
                Some(Node::Bool(value)) => Ok(Some(f64::from(u8::from(value)))),
                other => Err(wrong_type(Label::Vb, other.as_ref(), "true or false")),
            },
            [text] => {
                let word = text.word();
                let detail =
                    format!("`{word}` is a text, which no rule can judge: send `v` or `vb`");
                Err((Reason::NotANumber, detail))
            }
            [..] => {
                let detail =
                    "the record has several values: send one of `v`, `vb`, `vs`, `vd` in each";
                Err((Reason::SeveralValues, detail.to_owned()))
            }
        }
    }

    fn text(&mut self, label: Label) -> Result<Option<Cow<'a, str>>, Wrong> {
        match self.slots[label as usize].take() {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            other => Err(wrong_type(label, other.as_ref(), "a string")),
        }
    }

    fn number(&mut self, label: Label) -> Result<Option<f64>, Wrong> {
        match self.slots[label as usize].take() {
            None => Ok(None),
            Some(Node::Integer(number)) => Ok(Some(number as f64)),
            Some(Node::Float(number)) => finite(label, number).map(Some),
            Some(Node::Beyond(_)) => finite(label, f64::INFINITY).map(Some),
            Some(Node::Text(text)) => {
                let (word, text) = (label.word(), shown(&text));
                let detail =
                    format!("`{word}` is a string \"{text}\": send the number without quotes");
                Err((Reason::NumberAsString, detail))
            }
            other => Err(wrong_type(label, other.as_ref(), "a number")),
        }
    }
}

fn finite(label: Label, number: f64) -> Result<f64, Wrong> {
    if number.is_finite() {
        return Ok(number);
    }
    let detail = format!("`{}` with its base is beyond every number", label.word());
    Err((Reason::NotFinite, detail))
}

fn wrong_type(label: Label, node: Option<&Node<'_>>, wanted: &str) -> Wrong {
    let kind = node.map_or("missing", Node::kind);
    let detail = format!("`{}` is {kind}: send {wanted}", label.word());
    let reason = match label {
        Label::V | Label::S | Label::Bv | Label::Bs => Reason::NotANumber,
        _ => Reason::WrongType,
    };
    (reason, detail)
}

fn stands_twice(label: Label) -> Wrong {
    let detail = format!("the label `{}` stands twice: send it once", label.word());
    (Reason::DuplicateKey, detail)
}
