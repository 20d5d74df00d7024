//! tokio-postgres, and deadpool-postgres, whose clients lend one.

use tokio_postgres::{Client, Error, Transaction};

use super::{ENTER, RowContext};

/// Begins a transaction for this person. Everything that is asked in it is seen through the person's eyes; commit it, or
/// drop it to take everything back. A client of deadpool-postgres is passed as `&mut ***client`.
///
/// # Errors
///
/// What tokio-postgres says.
pub async fn begin<'a>(client: &'a mut Client, context: &RowContext) -> Result<Transaction<'a>, Error> {
    let transaction = client.transaction().await?;
    transaction
        .execute(ENTER, &[&context.user, &context.workspace])
        .await?;
    Ok(transaction)
}
