//! Which column of a CSV file is which field of the record.

use super::ExtraColumns;
use crate::record::Schema;

/// The header row does not fit the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A field that is not optional has no column.
    #[error("column `{column}` is missing, the file has {}; add it, or name the columns so", .found.join(","))]
    MissingColumn {
        /// The field.
        column: &'static str,
        /// The columns of the file.
        found: Vec<String>,
    },
    /// A column is no field.
    #[error("unknown column `{column}`, known are {}; remove it, or ignore extra columns", .known.join(","))]
    UnknownColumn {
        /// The column.
        column: String,
        /// The fields of the record.
        known: Vec<&'static str>,
    },
    /// Two columns have one name.
    #[error("column `{column}` stands there twice; rename one of them")]
    DuplicateColumn {
        /// The column.
        column: String,
    },
    /// The row can't be split into names.
    #[error("the first line is no list of columns: {0}; is the file CSV?")]
    Unreadable(super::RejectReason),
}

/// The column of a field that the file does not have.
pub(super) const NO_COLUMN: u32 = u32::MAX;

/// The column of each field, in the schema's order.
pub(super) fn match_columns(
    schema: &Schema,
    found: &[String],
    extra: ExtraColumns,
) -> Result<Vec<u32>, HeaderError> {
    for (index, column) in found.iter().enumerate() {
        if found[..index].contains(column) {
            let column = column.clone();
            return Err(HeaderError::DuplicateColumn { column });
        }
    }
    let mut columns = Vec::with_capacity(schema.fields.len());
    for field in schema.fields {
        let at = found.iter().position(|column| column == field.name);
        match at {
            Some(at) => columns.push(u32::try_from(at).unwrap_or(NO_COLUMN)),
            None if field.optional => columns.push(NO_COLUMN),
            None => {
                return Err(HeaderError::MissingColumn {
                    column: field.name,
                    found: found.to_vec(),
                });
            }
        }
    }
    let known = |column: &String| schema.fields.iter().any(|field| field.name == column);
    match found.iter().find(|column| !known(column)) {
        Some(column) if extra == ExtraColumns::Refuse => Err(HeaderError::UnknownColumn {
            column: column.clone(),
            known: schema.fields.iter().map(|field| field.name).collect(),
        }),
        _ => Ok(columns),
    }
}
