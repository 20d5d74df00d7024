//! Tables of sites: each host admits exactly its groups, all of a table or nothing of it, and no address twice.

use std::collections::BTreeMap;

use doorward_core::admin::applications::ApplicationChange;
use doorward_core::admin::site_tables::{Import, Imported, SiteRow};
use doorward_core::admin::sites::SiteChange;
use doorward_core::error::Error;
use doorward_testkit::{App, each_app};

use super::{Jar, WIKI, application, enter, get, put};
use crate::invalid;

fn row(url: &str, groups: &[&str]) -> SiteRow {
    SiteRow {
        url: url.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..SiteRow::default()
    }
}

const CREATE: Import = Import {
    dry_run: false,
    create_groups: true,
};
const PLAIN: Import = Import {
    dry_run: false,
    create_groups: false,
};

/// Everything that a table could change, as text.
async fn state(app: &App) -> String {
    let applications = app.doorward.list_applications(true).await.unwrap();
    let groups = app.doorward.list_groups(true).await.unwrap();
    format!("{applications:#?}{groups:#?}{:?}", app.rows().await)
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table, read from top to bottom")]
async fn a_hundred_hosts_admit_exactly_their_groups() {
    each_app(async |app| {
        let groups: Vec<String> = (0..7).map(|n| format!("team {n}")).collect();
        // Host n is for the groups whose bits are set in n; names that would make the same slug are among them.
        let mut table: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for n in 1..=90_usize {
            table.insert(
                format!("https://s{n}.corp.example.org/"),
                (0..7).filter(|bit| n >> bit & 1 == 1).collect(),
            );
        }
        for (n, host) in [
            "https://a-b.example.org/",
            "https://a.b.example.org/",
            "https://a.b.example.org:8443/",
            "https://a.b.example.org/x",
            "https://a.b.example.org/x/y",
            "https://example.net/",
            "https://.example.net/",
            "https://*.example.net/",
            "https://a-very-long-name-of-a-host-that-does-not-fit.into-a-slug.example.org/",
            "https://a-very-long-name-of-a-host-that-does-not-fit.into-a-slug-either.example.org/",
        ]
        .into_iter()
        .enumerate()
        {
            table.insert(host.to_owned(), vec![n % 7, (n + 3) % 7]);
        }
        assert_eq!(table.len(), 100);
        let rows: Vec<SiteRow> = table
            .iter()
            .map(|(url, of)| SiteRow {
                groups: of.iter().map(|n| groups[*n].clone()).collect(),
                ..row(url, &[])
            })
            .collect();

        let before = state(&app).await;
        let dry = app
            .doorward
            .import_sites(
                &rows,
                Import {
                    dry_run: true,
                    create_groups: true,
                },
            )
            .await
            .unwrap();
        assert_eq!((dry.created.len(), dry.groups.len(), dry.dry_run), (100, 7, true));
        assert_eq!(state(&app).await, before, "a dry run writes nothing");
        let missing = app.doorward.import_sites(&rows, PLAIN).await;
        assert!(
            matches!(missing, Err(Error::NotFound(_) | Error::Invalid(_))),
            "{missing:?}"
        );

        let done = app.doorward.import_sites(&rows, CREATE).await.unwrap();
        assert_eq!(
            (done.created.len(), done.changed.len(), done.groups.len()),
            (100, 0, 7)
        );
        let mut jars: Vec<Jar> = Vec::new();
        for (n, group) in groups.iter().enumerate() {
            let user = app.person(&format!("member{n}")).await;
            let group = app.doorward.find_group(group).await.unwrap();
            app.doorward.add_member(user.id, group.id).await.unwrap();
            let browser = app.sign_in(&format!("member{n}")).await;
            let jar = [
                enter(&app, &browser, "https://s1.corp.example.org/").await,
                enter(&app, &browser, "https://deep.below.example.net/").await,
            ];
            jars.push(jar.concat());
        }
        let exactly = async |what: &str| {
            for (url, of) in &table {
                let url = url
                    .replace("://*.", "://label.")
                    .replace("://.", "://deep.below.");
                for (n, jar) in jars.iter().enumerate() {
                    let expected = if of.contains(&n) {
                        "allowed"
                    } else {
                        "not_in_audience"
                    };
                    assert_eq!(get(&app, &url, jar).await, expected, "{what}: member{n} at {url}");
                }
                assert_eq!(get(&app, &url, &Jar::new()).await, "sign_in");
            }
        };
        exactly("first").await;

        // Twice is unchanged, also in another order.
        let before = state(&app).await;
        let mut turned = rows.clone();
        turned.reverse();
        for rows in [&rows, &turned] {
            let again = app.doorward.import_sites(rows, CREATE).await.unwrap();
            assert_eq!(
                (
                    again.unchanged.len(),
                    again.created.len(),
                    again.changed.len(),
                    again.groups.len()
                ),
                (100, 0, 0, 0)
            );
        }
        assert_eq!(state(&app).await, before);
        exactly("again").await;

        // One row changes its host and no other.
        let mut one = vec![row("https://a.b.example.org/x", &["team 6"])];
        let done = app.doorward.import_sites(&one, PLAIN).await.unwrap();
        assert_eq!(done.changed.len(), 1);
        table.insert("https://a.b.example.org/x".into(), vec![6]);
        for (url, of) in &table {
            let url = url
                .replace("://*.", "://label.")
                .replace("://.", "://deep.below.");
            for (n, jar) in jars.iter().enumerate() {
                let expected = if of.contains(&n) {
                    "allowed"
                } else {
                    "not_in_audience"
                };
                assert_eq!(get(&app, &url, jar).await, expected, "member{n} at {url}");
            }
        }

        // One bad row changes nothing.
        for bad in [
            row("https://s1.corp.example.org/", &["no such group"]),
            row("https://new.example.org/", &[]),
            row("nonsense", &["team 1"]),
            row("https://a.b.example.org/x", &["team 1"]),
            SiteRow {
                rules: vec!["whatever /".into()],
                ..row("https://new.example.org/", &["team 1"])
            },
            SiteRow {
                users: vec!["nobody-of-this-name".into()],
                ..row("https://new.example.org/", &[])
            },
            SiteRow {
                upstream: Some("ftp://x".into()),
                ..row("https://new.example.org/", &["team 1"])
            },
            SiteRow {
                application: Some("Not A Slug".into()),
                ..row("https://new.example.org/", &["team 1"])
            },
        ] {
            let before = state(&app).await;
            one.truncate(1);
            one[0].groups = vec!["team 5".into()];
            one.push(bad.clone());
            let refused = app.doorward.import_sites(&one, PLAIN).await;
            match refused {
                Err(Error::Invalid(problem) | Error::NotFound(problem)) => {
                    assert!(
                        problem.contains("row 2") || problem.contains("no such group"),
                        "{problem}"
                    );
                }
                other => panic!("{bad:?}: {other:?}"),
            }
            assert_eq!(state(&app).await, before, "{bad:?}");
        }
        let before = state(&app).await;
        assert!(invalid(app.doorward.import_sites(&[], CREATE).await).contains("empty"));
        assert_eq!(state(&app).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_row_never_changes_an_application_that_it_does_not_mean() {
    each_app(async |app| {
        for group in ["staff", "guests"] {
            app.group(group).await;
        }
        // Its slug looks like the host of the row.
        let other = application(&app, "wiki-example-org", Some("staff"), vec![]).await;
        let import = async |rows: &[SiteRow]| app.doorward.import_sites(rows, PLAIN).await;
        let done = import(&[row(WIKI, &["guests"])]).await.unwrap();
        assert_eq!(done.created, ["wiki-example-org-2"]);
        assert_eq!(app.doorward.find_application(&other.slug).await.unwrap(), other);
        // An application that has the site already is meant, whatever it is called.
        application(
            &app,
            "kitchen",
            Some("staff"),
            vec![put("https://recipes.example.org", &[])],
        )
        .await;
        let done = import(&[row("https://recipes.example.org/", &["guests"])])
            .await
            .unwrap();
        assert_eq!(done.changed, ["kitchen"]);
        // Two rows of one application have to say the same about it.
        let named = |url: &str, groups: &[&str]| SiteRow {
            application: Some("pair".into()),
            ..row(url, groups)
        };
        let problem = invalid(
            import(&[
                named("https://one.example.org", &["staff"]),
                named("https://two.example.org", &["guests"]),
            ])
            .await,
        );
        assert!(
            problem.contains("row 2") && problem.contains("row 1") && problem.contains("pair"),
            "{problem}"
        );
        let both = [
            named("https://one.example.org", &["staff", "guests"]),
            named("https://two.example.org", &["guests", "staff"]),
        ];
        let Imported {
            created,
            changed,
            unchanged,
            ..
        } = import(&both).await.unwrap();
        assert_eq!(
            (created, changed, unchanged),
            (vec!["pair".to_owned()], vec![], vec![])
        );
        let pair = app.doorward.find_application("pair").await.unwrap();
        assert_eq!(pair.sites.len(), 2);
        let Imported {
            created,
            changed,
            unchanged,
            ..
        } = import(&both).await.unwrap();
        assert_eq!(
            (created, changed, unchanged),
            (vec![], vec![], vec!["pair".to_owned()])
        );
        // And a site of somebody else is not taken over.
        let problem = invalid(
            import(&[SiteRow {
                application: Some("pair".into()),
                ..row(WIKI, &["staff", "guests"])
            }])
            .await,
        );
        assert!(problem.contains("wiki-example-org-2"), "{problem}");
    })
    .await;
}

#[tokio::test]
async fn no_two_applications_have_the_same_address() {
    each_app(async |app| {
        app.group("staff").await;
        let door = &app.doorward;
        let first = application(&app, "first", Some("staff"), vec![put(WIKI, &[])]).await;
        let second = application(
            &app,
            "second",
            Some("staff"),
            vec![put("https://second.example.org", &[])],
        )
        .await;
        let with = |site: SiteChange| ApplicationChange {
            sites: vec![site],
            ..ApplicationChange::default()
        };
        for same in [
            "https://wiki.example.org/",
            "http://wiki.example.org",
            "https://WIKI.example.org:443/",
            "https://wiki.example.org./",
        ] {
            let problem = invalid(door.create_application("third", &with(put(same, &[]))).await);
            assert!(problem.contains("`first`"), "{problem}");
            let problem = invalid(door.update_application(second.id, &with(put(same, &[]))).await);
            assert!(problem.contains("`first`"), "{problem}");
        }
        for other in [
            "https://wiki.example.org:8443",
            "https://wiki.example.org/x",
            "https://*.example.org",
            "https://.wiki.example.org",
        ] {
            door.update_application(second.id, &with(put(other, &[])))
                .await
                .unwrap();
        }
        // Through the bin.
        door.delete_application(first.id).await.unwrap();
        door.update_application(second.id, &with(put(WIKI, &[])))
            .await
            .unwrap();
        let problem = invalid(door.restore_application(first.id).await);
        assert!(problem.contains("`second`"), "{problem}");
        door.update_application(second.id, &with(SiteChange::Remove(WIKI.parse().unwrap())))
            .await
            .unwrap();
        door.restore_application(first.id).await.unwrap();
        // At the same moment, too.
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let door = door.clone();
                tokio::spawn(async move {
                    let change = ApplicationChange {
                        sites: vec![put("https://race.example.org", &[])],
                        ..ApplicationChange::default()
                    };
                    door.create_application(&format!("race{n}"), &change)
                        .await
                        .is_ok()
                })
            })
            .collect();
        let mut made = 0;
        for task in tasks {
            made += usize::from(task.await.unwrap());
        }
        assert_eq!(made, 1);
    })
    .await;
}

#[tokio::test]
async fn removing_a_site_that_is_not_there_says_what_is() {
    each_app(async |app| {
        app.group("staff").await;
        let first = application(&app, "first", Some("staff"), vec![put(WIKI, &[])]).await;
        let change = ApplicationChange {
            sites: vec![SiteChange::Remove("https://other.example.org".parse().unwrap())],
            ..ApplicationChange::default()
        };
        let refused = app.doorward.update_application(first.id, &change).await;
        assert!(
            matches!(&refused, Err(Error::NotFound(problem)) if problem.contains(WIKI)),
            "{refused:?}"
        );
    })
    .await;
}
