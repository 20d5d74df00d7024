//! The views with the table names of the service before.

use doorward_core::Origin;
use doorward_domain::token_api::Credentials;
use doorward_store::OLD_NAMES;
use doorward_testkit::{PASSWORD, each_app_with};

use super::on;

#[tokio::test]
async fn old_readers_find_their_tables() {
    each_app_with(on, async |app| {
        let ada = app.person("ada").await;
        app.person("bob").await;
        app.administrator("root").await;
        let inner = app.group("agent-system").await;
        app.doorward.add_member(ada.id, inner.id).await.unwrap();
        let credentials = Credentials {
            email: "ada@example.org".into(),
            password: PASSWORD.into(),
        };
        app.doorward
            .token_login(&credentials, &Origin::default())
            .await
            .unwrap();
        app.sign_in("bob").await;
        let store = app.store();
        assert!(store.read_old_views().await.is_err());
        // Twice: the second time in place of the first.
        store.make_old_views().await.unwrap();
        store.make_old_views().await.unwrap();
        assert_eq!(store.read_old_views().await.unwrap(), 3);
        let read = app.read_as_of_old().await;
        let [id, email, hash, name, at] = &read.users[0];
        assert_eq!(*id, ada.id.to_string());
        assert_eq!((email.as_str(), name.as_str()), ("ada@example.org", "ADA"));
        assert!(
            hash.starts_with("$argon2id$") && at.starts_with("2027-01-15"),
            "{at}"
        );
        assert_eq!(read.admins, 1);
        let expected = [
            ("ada@example.org", "agent-system"),
            ("ada@example.org", "user"),
            ("bob@example.org", "user"),
            ("root@example.org", "admin"),
            ("root@example.org", "user"),
        ];
        assert_eq!(
            read.roles,
            expected.map(|(who, role)| (who.to_owned(), role.to_owned()))
        );
        assert_eq!(read.sessions, 1, "sign-ins of the token API only");
        assert_eq!((read.matrix, read.known_roles), (0, 3));
        store.drop_old_views().await.unwrap();
        assert!(store.read_old_views().await.is_err());
        assert_eq!(OLD_NAMES.len(), 5);
    })
    .await;
}
