//! Reads departments and plans from YAML. All problems of a file are found in one go, each with its line and the
//! way out; with a single problem nothing is put in force.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use citywatch_model::{Level, Name, Text, name};

use super::fields::{Fields, Reader, suggestion};
use super::tree::{Node, Problem, Tree, parse};
use super::{Contact, Department, Directory, LevelPlan, Lift, Plan};
use crate::channel::{CAP_MQTT, Endpoint, KINDS, MAIL, SMS, WEBHOOK};

/// Reads the directory file at `path`.
///
/// # Errors
/// Every problem of the file.
pub fn load_directory(path: &Path) -> Result<Directory, Vec<Problem>> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => read_directory(&file, &text),
        Err(error) => {
            let message = format!("cannot be read: {error}; name an existing YAML file in UTF-8");
            Err(vec![Problem {
                file,
                line: 0,
                column: 0,
                field: String::new(),
                message,
            }])
        }
    }
}

/// Reads a directory from `text`; `file` is named in problems.
///
/// # Errors
/// Every problem of the text.
pub fn read_directory(file: &str, text: &str) -> Result<Directory, Vec<Problem>> {
    let reader = Reader {
        file,
        problems: RefCell::default(),
    };
    let root = parse(file, text).map_err(|problem| vec![problem])?;
    let directory = reader.directory(&root);
    let mut problems = reader.problems.into_inner();
    problems.sort_by_key(|problem| (problem.line, problem.column));
    if problems.is_empty() {
        Ok(directory)
    } else {
        Err(problems)
    }
}

/// What a contact's channels may leave out.
#[derive(Default, Clone, Copy)]
struct Own<'n> {
    phone: Option<&'n str>,
    mail: Option<&'n str>,
}

/// Whether somebody could dial what stands there, perhaps with an extension behind it; text messages ask for more.
fn names_a_number(phone: &str) -> bool {
    phone.chars().filter(char::is_ascii_digit).count() >= 3
}

impl Reader<'_> {
    fn directory(&self, root: &Node) -> Directory {
        let fields = self.fields(root, "", &["departments", "plans"]);
        let mut directory = Directory::default();
        for (path, node) in self.list(&fields, "departments") {
            if let Some(department) = self.department(node, &path) {
                if directory.departments.contains_key(&department.id) {
                    self.report(
                        node,
                        &path,
                        format!("there are two departments `{}`: rename one", department.id),
                    );
                }
                directory.departments.insert(department.id, department);
            }
        }
        let known: Vec<&str> = directory.departments.keys().map(|id| id.as_str()).collect();
        for (path, node) in self.list(&fields, "plans") {
            if let Some(plan) = self.plan(node, &path, &known) {
                self.check_plan(&directory, node, &path, &plan);
                directory.plans.insert(plan.id, plan);
            }
        }
        directory
    }

    fn check_plan(&self, directory: &Directory, node: &Node, path: &str, plan: &Plan) {
        if directory.plans.contains_key(&plan.id) {
            self.report(
                node,
                path,
                format!("there are two plans `{}`: rename one", plan.id),
            );
        }
        let same_hazard = |other: &&Plan| {
            other.hazard.is_some() && other.hazard == plan.hazard && other.id != plan.id
        };
        if let Some(other) = directory.plans.values().find(same_hazard) {
            self.report(
                node,
                path,
                format!(
                    "plan `{}` serves the same hazard: name it in rules instead",
                    other.id
                ),
            );
        }
    }

    fn department(&self, node: &Node, path: &str) -> Option<Department> {
        let fields = self.fields(node, path, &["id", "name", "zones", "channels", "contacts"]);
        let id = self.required(&fields, "id").map(name);
        let zones = self
            .texts(&fields, "zones")
            .into_iter()
            .map(|(_, _, zone)| name(zone))
            .collect();
        let channels = self.channels(&fields, Own::default());
        let mut contacts: Vec<Contact> = Vec::new();
        for (path, node) in self.list(&fields, "contacts") {
            if let Some(contact) = self.contact(node, &path) {
                if contacts.iter().any(|other| other.name == contact.name) {
                    self.report(
                        node,
                        &path,
                        format!("there are two contacts `{}`: tell them apart", contact.name),
                    );
                }
                contacts.push(contact);
            }
        }
        let label = self.both(&fields, "name");
        let id = id?;
        Some(Department {
            id,
            name: label.unwrap_or_else(|| Text::same(&id)),
            zones,
            channels,
            contacts,
        })
    }

    fn contact(&self, node: &Node, path: &str) -> Option<Contact> {
        let fields = self.fields(node, path, &["name", "phone", "mail", "channels"]);
        let label = self.required(&fields, "name");
        let (phone, mail) = (self.text(&fields, "phone"), self.text(&fields, "mail"));
        if let Some(wrong) = phone.filter(|phone| !names_a_number(phone)) {
            let message = format!("`{wrong}` is not a telephone number: write its digits");
            self.report(fields.entries["phone"], &fields.path("phone"), message);
        }
        if let Some(Err(error)) = mail.map(Endpoint::mail) {
            self.report(fields.entries["mail"], &fields.path("mail"), error);
        }
        let channels = self.channels(&fields, Own { phone, mail });
        Some(Contact {
            name: label?.to_owned(),
            phone: phone.unwrap_or_default().to_owned(),
            mail: mail.unwrap_or_default().to_owned(),
            channels,
        })
    }

    fn channels(&self, fields: &Fields<'_>, own: Own<'_>) -> Vec<Endpoint> {
        let items = self.list(fields, "channels").into_iter();
        items
            .filter_map(|(path, node)| self.channel(node, &path, own))
            .collect()
    }

    fn channel(&self, node: &Node, path: &str, own: Own<'_>) -> Option<Endpoint> {
        let known = ["kind", "url", "secret", "topic", "phone", "address"];
        let fields = self.fields(node, path, &known);
        let kind = self.required(&fields, "kind")?;
        let (endpoint, taken): (_, &[&str]) = match kind {
            WEBHOOK => {
                let secret = self.text(&fields, "secret");
                let url = self.required(&fields, "url");
                (
                    url.map(|url| Endpoint::webhook(url, secret)),
                    &["url", "secret"],
                )
            }
            CAP_MQTT => (
                Some(Endpoint::cap_mqtt(self.text(&fields, "topic"))),
                &["topic"],
            ),
            SMS => (
                self.own_or(&fields, "phone", own.phone).map(Endpoint::sms),
                &["phone"],
            ),
            MAIL => (
                self.own_or(&fields, "address", own.mail)
                    .map(Endpoint::mail),
                &["address"],
            ),
            _ => {
                let message = format!("there is no channel `{kind}`: {}", suggestion(kind, &KINDS));
                self.report(fields.entries["kind"], &fields.path("kind"), message);
                return None;
            }
        };
        for field in &known[1..] {
            if !taken.contains(field) && fields.entries.contains_key(field) {
                let message = format!("a {kind} channel has no `{field}`: remove it");
                self.report(fields.entries[field], &fields.path(field), message);
            }
        }
        endpoint?
            .map_err(|error| self.report(node, path, error))
            .ok()
    }

    /// The field, else what the contact itself says.
    fn own_or<'n>(
        &self,
        fields: &Fields<'n>,
        field: &str,
        own: Option<&'n str>,
    ) -> Option<&'n str> {
        if own.is_some() && !fields.entries.contains_key(field) {
            return own;
        }
        self.required(fields, field)
    }

    fn plan(&self, node: &Node, path: &str, departments: &[&str]) -> Option<Plan> {
        let fields = self.fields(node, path, &["id", "hazard", "expires", "lift", "levels"]);
        let id = self.required(&fields, "id").map(name);
        let lift = self.text(&fields, "lift").and_then(|word| match word {
            "automatic" => Some(Lift::Automatic),
            "manual" => Some(Lift::Manual),
            _ => {
                let message = format!("is `{word}`: write automatic or manual");
                self.report(fields.entries["lift"], &fields.path("lift"), message);
                None
            }
        });
        let (hazard, expires) = (
            self.text(&fields, "hazard").map(name),
            self.parsed(&fields, "expires"),
        );
        let levels = self.levels(&fields, departments);
        if levels.is_empty() && matches!(node.value, Tree::Map(_)) {
            self.report(
                node,
                path,
                "`levels` is missing or empty: say who is told from which level on",
            );
        }
        Some(Plan {
            id: id?,
            hazard,
            expires,
            lift,
            levels,
        })
    }

    /// The levels with what milder ones say counted in; a level that is not named does what the next milder does.
    fn levels(&self, plan: &Fields<'_>, departments: &[&str]) -> BTreeMap<Level, LevelPlan> {
        let Some(node) = plan.entries.get("levels") else {
            return BTreeMap::new();
        };
        let path = plan.path("levels");
        let words = Level::ALL.map(Level::word);
        let fields = self.fields(node, &path, &words);
        let mut levels = BTreeMap::new();
        let mut milder: Option<LevelPlan> = None;
        for level in Level::ALL {
            if let Some(node) = fields.entries.get(level.word()) {
                milder = Some(self.level(
                    node,
                    &fields.path(level.word()),
                    milder.as_ref(),
                    departments,
                ));
            }
            if let Some(plan) = &milder {
                levels.insert(level, plan.clone());
            }
        }
        levels
    }

    fn level(
        &self,
        node: &Node,
        path: &str,
        milder: Option<&LevelPlan>,
        departments: &[&str],
    ) -> LevelPlan {
        let fields = self.fields(node, path, &["tell", "channels", "automatic", "inherit"]);
        let inherit = self.flag(&fields, "inherit").unwrap_or(true);
        let mut plan = milder.filter(|_| inherit).cloned().unwrap_or_default();
        for (path, node, department) in self.texts(&fields, "tell") {
            if !departments.contains(&department) {
                let message = format!(
                    "there is no department `{department}`: {}",
                    suggestion(department, departments)
                );
                self.report(node, &path, message);
            }
            let department: Name = name(department);
            if !plan.tell.contains(&department) {
                plan.tell.push(department);
            }
        }
        let kinds = self.texts(&fields, "channels");
        for (path, node, kind) in &kinds {
            if !KINDS.contains(kind) {
                let message = format!("there is no channel `{kind}`: {}", suggestion(kind, &KINDS));
                self.report(node, path, message);
            }
        }
        if !kinds.is_empty() {
            plan.channels = Some(
                kinds
                    .into_iter()
                    .map(|(_, _, kind)| kind.to_owned())
                    .collect(),
            );
        }
        plan.automatic = self.flag(&fields, "automatic").unwrap_or(plan.automatic);
        plan
    }
}
