//! The part of the report on departments.

use std::fmt::{self, Formatter};

use super::words::{Count, Levels, more};
use crate::backtest::departments::{DepartmentTold, Departments};

/// Messages that are shown one by one.
const SHOWN: usize = 20;

pub fn told(f: &mut Formatter<'_>, told: &Departments) -> fmt::Result {
    writeln!(
        f,
        "\nDepartments: {} if every plan that waits for a click is clicked at once",
        Count(told.messages, "message")
    )?;
    told.departments
        .iter()
        .try_for_each(|one| department(f, one))?;
    for message in told.first.iter().take(SHOWN) {
        writeln!(
            f,
            "  {:<24} {:<18} {:<7} {:<6} {} {}{}",
            message.at.to_string(),
            message.department,
            message.kind.word(),
            message.level,
            message.rule,
            message.subject,
            if message.automatic { "" } else { " (by click)" }
        )?;
    }
    more(f, told.messages, told.first.len().min(SHOWN), "messages")?;
    for untold in &told.untold {
        writeln!(
            f,
            "  nobody is told of {} {} ({} times): {}",
            untold.rule, untold.level, untold.times, untold.reason
        )?;
    }
    Ok(())
}

fn department(f: &mut Formatter<'_>, department: &DepartmentTold) -> fmt::Result {
    write!(f, "  {:<18} ", department.department)?;
    let (Some(first), Some(last)) = (department.first_at, department.last_at) else {
        return writeln!(f, "never told ({})", department.name.zh);
    };
    write!(
        f,
        "{}; {} without a click, {} lifted; {first} to {last}",
        Levels(department.warnings),
        department.automatic,
        department.lifted
    )?;
    if let Some(day) = &department.busiest_day {
        write!(f, ", most on {}: {}", day.date, day.count)?;
    }
    writeln!(f, " ({})", department.name.zh)
}
