//! Plans 叫应方案 and departments in force, as far as somebody sees. Addresses stand only in the bundle, which takes an
//! admin.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use citywatch_alerting::accounts::View;
use citywatch_alerting::directory::{Contact, Department, Lift, Plan};
use citywatch_alerting::{Directory, Zones};
use citywatch_model::{Level, Name, Text};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::access::Viewer;
use super::view::Problems;

/// Who is told what at which level
#[derive(Debug, Serialize, ToSchema)]
pub struct PlansView {
    /// Plans, in the order of their ids
    pub plans: Vec<PlanView>,
    /// Departments that answer for anything that the caller sees, in the order of their ids
    pub departments: Vec<DepartmentView>,
}

/// A plan
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanView {
    /// What rules name; `default` serves hazards without a plan
    #[schema(example = "flood")]
    pub id: String,
    /// The hazard that it serves by itself
    pub hazard: Option<String>,
    /// How long its warnings are in force, in seconds; absent: as the service is set
    pub expires_seconds: Option<f64>,
    /// What happens to its warnings when the alert recovers: `automatic` or `manual`; absent: automatic ones are lifted, others wait for
    /// a person
    pub lift: Option<&'static str>,
    /// From the mildest level it knows to red
    pub levels: Vec<LevelView>,
}

/// What a plan does at one level, milder levels counted in
#[derive(Debug, Serialize, ToSchema)]
pub struct LevelView {
    /// The level
    #[schema(value_type = String, example = "orange")]
    pub level: Level,
    /// Departments, in order
    pub tell: Vec<String>,
    /// Kinds of channels; absent: all that a recipient has
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<String>>,
    /// The service warns by itself
    pub automatic: bool,
}

/// A department, without its addresses
#[derive(Debug, Serialize, ToSchema)]
pub struct DepartmentView {
    /// What plans and clicks name
    #[schema(example = "flood-hq")]
    pub id: String,
    /// For people
    pub name: Text,
    /// The zones it answers for, as far as the caller sees them
    pub zones: Vec<String>,
    /// It answers for every zone
    pub everywhere: bool,
    /// Kinds of channels of the department as a whole
    pub channels: Vec<&'static str>,
    /// Its people, in the order in which they are called
    pub contacts: Vec<ContactView>,
}

/// A person or desk
#[derive(Debug, Serialize, ToSchema)]
pub struct ContactView {
    /// Unique in the department
    pub name: String,
    /// Kinds of channels
    pub channels: Vec<&'static str>,
}

/// Plans and departments in force, without addresses; who is bound sees the plans of his hazards and the departments
/// that answer for his zones
#[utoipa::path(get, path = "/api/v1/plans", tag = "plans",
    responses((status = 200, body = PlansView), Problems))]
pub async fn list(State(app): State<App>, Viewer(bearer): Viewer) -> Json<PlansView> {
    let (directory, zones) = (app.ledger.directory(), app.ledger.zones());
    Json(seen(&directory, &zones, &bearer.view))
}

fn seen(directory: &Directory, zones: &Zones, view: &View) -> PlansView {
    // a department of the district answers for the streets in it
    let covered: BTreeSet<Name> = zones
        .0
        .keys()
        .filter(|zone| view.sees_zone(zone.as_str()))
        .flat_map(|zone| zones.around(*zone))
        .collect();
    let sees = |department: &&Department| {
        let mut own = department.zones.iter();
        view.sees_zone("") || department.zones.is_empty() || own.any(|zone| covered.contains(zone))
    };
    let departments: Vec<&Department> = directory.departments.values().filter(sees).collect();
    let known: BTreeSet<Name> = departments.iter().map(|one| one.id).collect();
    let plans = directory.plans.values();
    let plans = plans.filter(|plan| {
        let mut hazard = plan.hazard.iter();
        hazard.all(|hazard| view.sees_hazard(hazard.as_str()))
    });
    PlansView {
        plans: plans.map(|plan| plan_view(plan, &known)).collect(),
        departments: departments
            .into_iter()
            .map(|one| department_view(one, view))
            .collect(),
    }
}

fn plan_view(plan: &Plan, known: &BTreeSet<Name>) -> PlanView {
    let levels = plan.levels.iter().map(|(level, at)| LevelView {
        level: *level,
        tell: at
            .tell
            .iter()
            .filter(|department| known.contains(*department))
            .map(ToString::to_string)
            .collect(),
        channels: at.channels.clone(),
        automatic: at.automatic,
    });
    PlanView {
        id: plan.id.to_string(),
        hazard: plan.hazard.map(|hazard| hazard.to_string()),
        expires_seconds: plan.expires.map(citywatch_model::Duration::seconds),
        lift: plan.lift.map(|lift| match lift {
            Lift::Automatic => "automatic",
            Lift::Manual => "manual",
        }),
        levels: levels.collect(),
    }
}

fn department_view(department: &Department, view: &View) -> DepartmentView {
    let zones = department.zones.iter();
    let zones = zones.filter(|zone| view.sees_zone(zone.as_str()));
    let contact = |contact: &Contact| ContactView {
        name: contact.name.clone(),
        channels: contact.channels.iter().map(|one| one.kind()).collect(),
    };
    DepartmentView {
        id: department.id.to_string(),
        name: department.name.clone(),
        zones: zones.map(ToString::to_string).collect(),
        everywhere: department.zones.is_empty(),
        channels: department.channels.iter().map(|one| one.kind()).collect(),
        contacts: department.contacts.iter().map(contact).collect(),
    }
}
