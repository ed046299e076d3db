//! Reads the configuration file so that one mistake does not hide the next: every section is read by
//! itself, and a key that is refused is taken out and the section read again.

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::{Config, Link, OWN_NAME, Role, Token};

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path of the file.
    pub file: String,
    /// Line, from 1; 0 if it concerns the file as a whole.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

/// Reads `path`; paths inside are relative to its folder.
pub fn read(path: &Path) -> Result<Config, Vec<Problem>> {
    let (config, problems) = read_all(path);
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        Some(_) | None => Err(problems),
    }
}

/// The same, but a mistake leaves the rest of the file to be used: what is wrong keeps its default. `None` if the file
/// cannot be read, or is no TOML.
pub fn read_all(path: &Path) -> (Option<Config>, Vec<Problem>) {
    let file = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let message =
                format!("cannot read the configuration: {error}; name another with --config");
            let line = 0;
            return (
                None,
                vec![Problem {
                    file,
                    line,
                    message,
                }],
            );
        }
    };
    let mut reader = Reader {
        file,
        text: &text,
        problems: Vec::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(&text);
    for error in &errors {
        reader.refuse(error);
    }
    let mut config = reader.config(table);
    reader.judge(&config);
    reader.problems.sort_by_key(|problem| problem.line);
    config.rebase(path.parent().unwrap_or(Path::new("")));
    (errors.is_empty().then_some(config), reader.problems)
}

const SECTIONS: &str = "service, http, accounts, broker, topics, links, bundle, engine, storage, delivery, archive, sms, mail, tokens";

struct Reader<'t> {
    file: String,
    text: &'t str,
    problems: Vec<Problem>,
}

impl<'t> Reader<'t> {
    fn config(&mut self, table: Spanned<DeTable<'t>>) -> Config {
        let mut config = Config::default();
        for (key, value) in table.into_inner() {
            match key.get_ref().as_ref() {
                "service" => self.section(value, &mut config.service),
                "http" => self.section(value, &mut config.http),
                "accounts" => self.section(value, &mut config.accounts),
                "broker" => self.section(value, &mut config.broker),
                "topics" => self.section(value, &mut config.topics),
                "bundle" => self.section(value, &mut config.bundle),
                "engine" => self.section(value, &mut config.engine),
                "storage" => self.section(value, &mut config.storage),
                "delivery" => self.section(value, &mut config.delivery),
                "tokens" => config.tokens = self.list("tokens", value),
                "links" => config.links = self.list::<Link>("links", value),
                "archive" => self.section(value, &mut config.archive),
                "sms" => self.section(value, &mut config.sms),
                "mail" => self.section(value, &mut config.mail),
                other => {
                    let message = format!("unknown section `{other}`; the sections are {SECTIONS}");
                    self.problem(key.span().start, message);
                }
            }
        }
        config
    }

    fn list<T: DeserializeOwned>(&mut self, key: &str, value: Spanned<DeValue<'t>>) -> Vec<T> {
        let start = value.span().start;
        let DeValue::Array(entries) = value.into_inner() else {
            self.problem(
                start,
                format!("`{key}` is a list: write [[{key}]] above each"),
            );
            return Vec::new();
        };
        let mut list = Vec::new();
        for entry in entries {
            let mut item = None;
            self.section(entry, &mut item);
            list.extend(item);
        }
        list
    }

    /// Reads one section into `target`; on mistakes `target` keeps its default.
    fn section<T: DeserializeOwned>(&mut self, mut value: Spanned<DeValue<'t>>, target: &mut T) {
        loop {
            let error = match T::deserialize(ValueDeserializer::from(value.clone())) {
                Ok(read) => {
                    *target = read;
                    return;
                }
                Err(error) => error,
            };
            self.refuse(&error);
            if !take_out(&mut value, error.span()) {
                return;
            }
        }
    }

    fn refuse(&mut self, error: &toml::de::Error) {
        let start = error.span().map_or(0, |span| span.start);
        self.problem(start, error.message().replace('\n', "; "));
    }

    fn problem(&mut self, offset: usize, message: String) {
        let line = self.text[..offset.min(self.text.len())]
            .matches('\n')
            .count()
            + 1;
        self.problems.push(Problem {
            file: self.file.clone(),
            line,
            message,
        });
    }

    /// What the types cannot say.
    fn judge(&mut self, config: &Config) {
        if jiff::tz::TimeZone::get(&config.service.timezone).is_err() {
            let message = format!(
                "`{}` is not a time zone; write an IANA name such as Asia/Shanghai",
                config.service.timezone
            );
            self.at_value("timezone", message);
        }
        if config.engine.workers == 0 || config.engine.workers > 64 {
            self.at_value("workers", "`workers` must lie between 1 and 64".to_owned());
        }
        if config.service.sender.contains([' ', ',', '<', '&']) || config.service.sender.is_empty()
        {
            let message = "`sender` must be a name without spaces, commas, < and &, such as duty@city.example";
            self.at_value("sender", message.to_owned());
        }
        for (index, link) in config.links.iter().enumerate() {
            if let Some(message) = link.problem(&config.links[..index]) {
                self.at_value(&format!("\"{}\"", link.name), message);
            }
        }
        if let Some(archive) = &config.archive {
            let base = Path::new(&self.file).parent().unwrap_or(Path::new(""));
            for (near, message) in archive.problems(base) {
                self.at_value(&near, message);
            }
        }
        for (needle, message) in super::channels::judge(config) {
            self.at_value(&needle, message);
        }
        let accounts = &config.accounts;
        if accounts.session_idle.millis() <= 0 || accounts.session_longest < accounts.session_idle {
            let message =
                "`session_idle` must be longer than nothing and no longer than `session_longest`";
            self.at_value("session_", message.to_owned());
        }
        for (index, token) in config.tokens.iter().enumerate() {
            let message = wrong_token(token)
                .or_else(|| wrong_bounds(token))
                .or_else(|| wrong_name(token, &config.tokens[..index]));
            if let Some(message) = message {
                self.at_value(&token.name, message);
            }
        }
    }

    fn at_value(&mut self, needle: &str, message: String) {
        let offset = self.text.find(needle).unwrap_or(0);
        self.problem(offset, message);
    }
}

/// At the broker the name alone tells what an account may do.
fn wrong_name(token: &Token, before: &[Token]) -> Option<String> {
    let name = &token.name;
    if name == OWN_NAME {
        return Some(format!(
            "`{name}` is the service's own name; give the token another"
        ));
    }
    let other = before.iter().find(|other| other.name == *name)?;
    if other.role != token.role {
        let message =
            format!("`{name}` bears two roles; several tokens of one name must have the same role");
        return Some(message);
    }
    let same = other.hazards == token.hazards && other.zones == token.zones;
    (!same).then(|| {
        format!("`{name}` is bound in two ways; several tokens of one name must have the same hazards and zones")
    })
}

/// Readings are not judged by zone when they come in, and an admin changes the whole.
fn wrong_bounds(token: &Token) -> Option<String> {
    let bound = !(token.hazards.is_empty() && token.zones.is_empty());
    let whole = matches!(token.role, Role::Device | Role::Admin);
    (bound && whole).then(|| {
        format!(
            "`{}` cannot be bound to hazards or zones: only viewers and operators can",
            token.name
        )
    })
}

fn wrong_token(token: &Token) -> Option<String> {
    let name = &token.name;
    match (&token.token, &token.token_sha256) {
        (Some(text), None) if text.chars().count() >= 16 => None,
        (Some(_), None) => Some(format!(
            "the token of `{name}` is shorter than 16 characters"
        )),
        (None, Some(hash)) if hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            None
        }
        (None, Some(_)) => Some(format!(
            "`token_sha256` of `{name}` is not 64 hexadecimal digits"
        )),
        _ => Some(format!("`{name}` needs either `token` or `token_sha256`")),
    }
}

/// Removes the entry of a table whose key or value lies at `span`; false if there is none.
fn take_out(value: &mut Spanned<DeValue<'_>>, span: Option<std::ops::Range<usize>>) -> bool {
    let (Some(span), DeValue::Table(table)) = (span, value.get_mut()) else {
        return false;
    };
    let before = table.len();
    let kept = std::mem::take(table)
        .into_iter()
        .filter(|(key, value)| key.span() != span && value.span() != span);
    *table = kept.collect();
    table.len() < before
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("citywatch.toml");
        std::fs::write(&path, text).unwrap();
        let shown = format!("{}/", folder.path().display());
        match read(&path) {
            Ok(_) => Vec::new(),
            Err(problems) => problems
                .iter()
                .map(|p| p.to_string().replace(&shown, ""))
                .collect(),
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = "[http]\nlisten = \"127.0.0.1\"\nport = 80\n\n[brokr]\n\n[engine]\nworkers = 0\n\n[service]\nname = \"x\"\ncolour = 1\ntimezone = \"Mars/Base\"\n\n[[tokens]]\nname = \"duty\"\nrole = \"boss\"\n";
        insta::assert_snapshot!(problems(text).join("\n"));
    }

    #[test]
    fn a_name_has_one_role_and_is_not_the_services_own() {
        let token = |name: &str, role: &str, token: char| {
            let token = token.to_string().repeat(16);
            format!("[[tokens]]\nname = \"{name}\"\nrole = \"{role}\"\ntoken = \"{token}\"\n")
        };
        let changing = token("gas", "device", 'a') + &token("gas", "device", 'b');
        assert_eq!(problems(&changing), [""; 0]);
        let wrong = changing + &token("gas", "viewer", 'c') + &token(OWN_NAME, "device", 'd');
        let told = problems(&wrong);
        assert!(told.len() == 2 && told[0].contains("two roles"), "{told:?}");
        assert!(told[1].contains("the service's own name"), "{told:?}");
    }

    #[test]
    fn an_archive_is_judged_and_its_token_never_shown() {
        let good = "[archive]\nurl = \"http://127.0.0.1:8086\"\norg = \"o\"\nbucket = \"b\"\n";
        assert_eq!(problems(good), [""; 0]);
        let wrong = "[archive]\nurl = \"http://u:s3cret@influx/x\"\norg = \"\"\nbucket = \"b\"\nbatch_points = 0\n\
                     token = \"t0psecret\"\ntoken_file = \"nowhere\"\ntimeout = \"1ms\"\n";
        insta::assert_snapshot!(problems(wrong).join("\n"));
        let file = good.to_owned() + "token_file = \"nowhere\"\n";
        assert!(problems(&file)[0].contains("nowhere cannot be read"));
        assert_eq!(problems("[archive]\nurl = \"http://h\"\n").len(), 1);
    }

    #[test]
    fn gateways_are_judged_as_a_whole() {
        let text = "[sms]\nurl = \"gateway/sendsms\"\nusername = \"cw\"\nmax_parts = 1\ntimeout = \"40s\"\n\n\
            [mail]\nhost = \"smtp.city.example:587\"\nsecurity = \"none\"\nusername = \"cw\"\npassword = \"x\"\nfrom = \"duty\"\nconcurrent = 0\n";
        insta::assert_snapshot!(problems(text).join("\n"));
        let good = "[service]\npublic_url = \"https://warn.city.example\"\n\
            [sms]\nurl = \"http://10.0.0.2:13013/cgi-bin/sendsms\"\nusername = \"cw\"\npassword_file = \"sms.password\"\n\
            [mail]\nhost = \"smtp.city.example\"\nfrom = \"duty@city.example\"\n";
        assert_eq!(problems(good), [""; 0]);
        let hidden = format!(
            "{:?}",
            toml::from_str::<super::super::Sms>(
                "url = \"http://h\"\nusername = \"cw\"\npassword = \"s3cret\"\n"
            )
            .unwrap()
        );
        assert!(!hidden.contains("s3cret"), "{hidden}");
    }

    #[test]
    fn a_delivery_that_never_tries_or_never_waits_is_refused() {
        let wrong = "[delivery]\nmax_attempts = 0\nfirst_wait = \"0s\"\nlongest_wait = \"99ms\"\n";
        insta::assert_snapshot!(problems(wrong).join("\n"), @"
        citywatch.toml:2: `max_attempts` under [delivery] is 0, so nothing would ever be sent: write at least 1, or leave it out to try until the warning expires
        citywatch.toml:3: `first_wait` under [delivery] is 0s: it must be at least 100ms
        citywatch.toml:4: `longest_wait` under [delivery] is 99ms: it must be at least 100ms
        ");
        let good =
            "[delivery]\nmax_attempts = 1\nfirst_wait = \"100ms\"\nlongest_wait = \"100ms\"\n";
        assert_eq!(problems(good), [""; 0]);
    }

    #[test]
    fn paths_start_at_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("citywatch.toml");
        std::fs::write(
            &path,
            "[bundle]\nrules = [\"rules\"]\n[storage]\nfolder = \"/var/lib/x\"\n",
        )
        .unwrap();
        let config = read(&path).unwrap();
        assert_eq!(config.bundle.rules, [folder.path().join("rules")]);
        assert_eq!(config.storage.folder, Path::new("/var/lib/x"));
    }

    #[test]
    fn a_missing_file_says_so() {
        let problems = read(Path::new("/nowhere/citywatch.toml")).unwrap_err();
        assert!(
            problems[0].to_string().contains("--config"),
            "{}",
            problems[0]
        );
    }
}
