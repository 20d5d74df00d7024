//! The database of the token service that was there before: its tables, and what its readers find in the views of the same names.

use doorward_store::sql;

use crate::app::App;

/// What readers of the old tables see.
#[derive(Debug, PartialEq, Eq)]
pub struct OldReading {
    /// Id, address, hash, name and time of everybody, in the order of the addresses.
    pub users: Vec<[String; 5]>,
    /// How many are administrators.
    pub admins: i64,
    /// Address and role, in order.
    pub roles: Vec<(String, String)>,
    /// Sessions that were not refreshed yet and belong to somebody in the list.
    pub sessions: i64,
    /// Matrix accounts.
    pub matrix: i64,
    /// Roles that there are.
    pub known_roles: i64,
}

impl App {
    /// Makes the old tables in this database (PostgreSQL), with so many people, and ten sessions.
    pub async fn make_old_tables(&self, people: u32) {
        let tx = self.store().begin().await.expect("a transaction");
        for statement in [
            sql(
                "CREATE TABLE auth_users(id uuid PRIMARY KEY, email text UNIQUE, password_hash text, display_name text, \
                 is_active boolean, is_admin boolean, meta jsonb, created_at timestamptz, updated_at timestamptz)",
            ),
            sql("CREATE TABLE auth_user_roles(user_id uuid, role_id text)"),
            sql(
                "CREATE TABLE auth_sessions(id uuid PRIMARY KEY, user_id uuid, user_agent text, ip_address text, \
                 created_at timestamptz, expires_at timestamptz, revoked_at timestamptz, meta jsonb)",
            ),
            sql(
                "INSERT INTO auth_users SELECT gen_random_uuid(), 'n' || n || '@example.org', 'none', 'N', true, false, '{}', \
                 now(), now() FROM generate_series(1, $1) AS n",
            )
            .bind(i64::from(people)),
            sql("INSERT INTO auth_user_roles SELECT id, 'user' FROM auth_users"),
            sql(
                "INSERT INTO auth_sessions SELECT gen_random_uuid(), id, 'x', '192.0.2.1', now(), timestamptz '2100-01-01', \
                 null, '{}' FROM auth_users LIMIT 10",
            ),
        ] {
            tx.run(statement).await.expect("an old table");
        }
        tx.commit().await.expect("a commit");
    }

    /// Reads the views as programs of old do.
    pub async fn read_as_of_old(&self) -> OldReading {
        let conn = self.store().read();
        let users = sql(
            "SELECT CAST(id AS text) AS a, email AS b, password_hash AS c, display_name AS d, CAST(created_at AS text) AS e \
             FROM auth_users ORDER BY email",
        );
        let users = conn.all(users).await.expect("users");
        let roles = sql(
            "SELECT email, role_id FROM auth_user_roles AS r JOIN auth_users AS u ON u.id = r.user_id ORDER BY email, role_id",
        );
        let roles = conn.all(roles).await.expect("roles");
        let count = async |query| {
            let row = conn.one(query).await.expect("a count");
            row.get::<i64>("n").expect("a number")
        };
        OldReading {
            users: users
                .iter()
                .map(|row| ["a", "b", "c", "d", "e"].map(|name| row.get(name).expect("a text")))
                .collect(),
            admins: count(sql("SELECT count(*) AS n FROM auth_users WHERE is_admin")).await,
            roles: roles
                .iter()
                .map(|row| {
                    (
                        row.get("email").expect("an address"),
                        row.get("role_id").expect("a role"),
                    )
                })
                .collect(),
            sessions: count(sql(
                "SELECT count(*) AS n FROM auth_sessions AS s JOIN auth_users AS u ON u.id = s.user_id \
                 WHERE s.revoked_at IS NULL AND s.generation = 0",
            ))
            .await,
            matrix: count(sql("SELECT count(*) AS n FROM auth_matrix_accounts")).await,
            known_roles: count(sql("SELECT count(*) AS n FROM auth_roles")).await,
        }
    }
}
