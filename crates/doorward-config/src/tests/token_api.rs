//! The token API: when it is on, what the old service's variables say, and what is refused.

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn told(settings: &Settings) -> String {
    let lines: Vec<String> = settings.warnings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn refused(said: &Said) -> String {
    let problems = said.read().unwrap_err();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn the_token_api_is_off_until_somebody_says_otherwise() {
    assert!(Said::default().read().unwrap().token_api.is_none());
    // Names that other programs use too put nothing on.
    let said = Said::env("JWT_SECRET", SECRET)
        .and_env("PORT", "80")
        .and_env("DEBUG", "*")
        .and_env("DATABASE_URL", "postgres://elsewhere/db")
        .and_env("SYNAPSE_REGISTRATION_SECRET", "s");
    let settings = said.read().unwrap();
    assert!(settings.token_api.is_none());
    assert!(!settings.database.url.expose().contains("elsewhere"));
    assert_eq!(told(&settings), "");
}

#[test]
fn one_variable_of_the_old_service_puts_it_on_as_the_old_service_was() {
    let settings = Said::env("AUTH_JWT_SECRET", SECRET).read().unwrap();
    let api = settings.token_api.unwrap();
    assert_eq!(api.algorithm, TokenAlgorithm::Hs256);
    assert_eq!(api.issuer, "daarion-auth");
    assert_eq!(api.listen, Some("127.0.0.1:7020".parse().unwrap()));
    assert_eq!(api.access_lifetime.seconds(), 1800);
    assert_eq!(api.refresh_lifetime.seconds(), 604_800);
    assert!(api.registration && !api.keep_bcrypt && !api.introspect_open && !api.sliding);
    assert!(api.matrix.is_none(), "there is no default secret");
}

#[test]
fn jwt_expiration_is_read_in_both_forms() {
    for (written, seconds) in [("24h", 86_400), ("15m", 900), ("3600", 3600)] {
        let said = Said::env("AUTH_JWT_SECRET", SECRET).and_env("JWT_EXPIRATION", written);
        let api = said.read().unwrap().token_api.unwrap();
        assert_eq!(api.access_lifetime.seconds(), seconds, "{written}");
    }
    // A token that nobody can take back lives a day at most.
    let long = Said::env("AUTH_JWT_SECRET", SECRET).and_env("JWT_EXPIRATION", "7d");
    assert!(refused(&long).contains("JWT_EXPIRATION"));
}

#[test]
fn switched_off_by_name_stays_off() {
    let said = Said::env("AUTH_JWT_SECRET", SECRET).and_env("DOORWARD_TOKEN_API_ENABLED", "false");
    assert!(said.read().unwrap().token_api.is_none());
}

#[test]
fn every_old_name_is_read_and_the_first_one_counts() {
    let said = Said::env("AUTH_JWT_SECRET", SECRET)
        .and_env("DOORWARD_LISTEN", "0.0.0.0:9000")
        .and_env("AUTH_DB_DSN", "postgresql+asyncpg://auth@db/auth")
        .and_env("JWT_ALGORITHM", "HS256")
        .and_env("ACCESS_TOKEN_TTL", "60")
        .and_env("AUTH_REFRESH_TOKEN_TTL", "120")
        .and_env("AUTH_SERVICE_PORT", "7021")
        .and_env("AUTH_JWT_ISSUER", "iss")
        .and_env("AUTH_KEEP_BCRYPT", "true")
        .and_env("SYNAPSE_ADMIN_URL", "http://synapse:8008/")
        .and_env("SYNAPSE_REGISTRATION_SECRET", "s")
        .and_env("SYNAPSE_SERVER_NAME", "example.org")
        .and_env("DOORWARD_PUBLIC_URL", "https://id.example.org");
    let settings = said.read().unwrap();
    assert_eq!(settings.database.url.expose(), "postgres://auth@db/auth");
    let api = settings.token_api.as_ref().unwrap();
    assert_eq!(api.listen, Some("0.0.0.0:7021".parse().unwrap()));
    assert_eq!(
        (api.access_lifetime.seconds(), api.refresh_lifetime.seconds()),
        (60, 120)
    );
    assert_eq!(api.issuer, "iss");
    assert!(api.keep_bcrypt);
    let matrix = api.matrix.as_ref().unwrap();
    assert_eq!(matrix.url, "http://synapse:8008");
    assert_eq!(matrix.server_name.as_deref(), Some("example.org"));
    assert_eq!(told(&settings), "");
}

#[test]
fn two_names_that_differ_are_told_by_name_and_never_by_value() {
    let other = "ffffffffffffffffffffffffffffffff";
    let said = Said::env("AUTH_JWT_SECRET", SECRET)
        .and_env("JWT_SECRET", other)
        .and_env("AUTH_ACCESS_TOKEN_TTL", "60")
        .and_env("ACCESS_TOKEN_TTL", "60")
        .and_env("BCRYPT_ROUNDS", "12");
    let settings = said.read().unwrap();
    let told = told(&settings);
    assert!(
        told.contains("env AUTH_JWT_SECRET and env JWT_SECRET say different things"),
        "{told}"
    );
    assert!(!told.contains("ACCESS_TOKEN_TTL"), "{told}");
    assert!(told.contains("BCRYPT_ROUNDS has no effect"), "{told}");
    assert!(!told.contains(other) && !told.contains(SECRET), "{told}");
    assert_eq!(
        settings.token_api.unwrap().secret.unwrap().expose(),
        SECRET,
        "the first one holds"
    );
}

#[test]
fn our_own_sources_are_stronger_than_old_names() {
    let file = format!("[token_api]\nenabled = true\nsecret = \"{SECRET}\"\naccess_lifetime = \"5m\"\n");
    let said = Said::file(&file)
        .and_env("ACCESS_TOKEN_TTL", "60")
        .and_env("JWT_SECRET", SECRET);
    let settings = said.read().unwrap();
    assert!(told(&settings).contains("doorward.toml:4:19 and env ACCESS_TOKEN_TTL say different things"));
    let api = settings.token_api.unwrap();
    assert_eq!(api.access_lifetime.seconds(), 300);
    assert_eq!(api.listen, None, "no port of its own without an old name");
}

#[test]
fn old_names_may_point_at_files() {
    let said = Said::env("AUTH_JWT_SECRET_FILE", "/run/secret").and_value_file("/run/secret", "short\n");
    let refusal = refused(&said);
    assert!(refusal.contains("shorter than 32 bytes"), "{refusal}");
    let said = Said::env("AUTH_JWT_SECRET_FILE", "/run/secret")
        .and_env("AUTH_ACCESS_TOKEN_TTL_FILE", "/run/ttl")
        .and_value_file("/run/secret", &format!("{SECRET}\n"))
        .and_value_file("/run/ttl", "90\n");
    let api = said.read().unwrap().token_api.unwrap();
    assert_eq!(api.secret.unwrap().expose(), SECRET);
    assert_eq!(api.access_lifetime.seconds(), 90);
    let missing = refused(&Said::env("AUTH_JWT_SECRET_FILE", "/nowhere"));
    assert!(missing.contains("/nowhere cannot be read"), "{missing}");
}

#[test]
fn a_secret_that_can_be_guessed_does_not_start_unless_debugging() {
    let short = Said::env("AUTH_JWT_SECRET", "change-me");
    let refusal = refused(&short);
    assert!(refusal.contains("shorter than 32 bytes") && !refusal.contains("change-me"));
    let settings = short.and_env("AUTH_DEBUG", "1").read().unwrap();
    assert!(told(&settings).contains("shorter than 32 bytes"));
    assert!(refused(&Said::env("AUTH_PORT", "7020")).contains("`token_api.secret` is not set"));
}

#[test]
fn our_own_keys_need_no_secret_and_call_themselves_by_the_public_url() {
    let said = Said::file("[token_api]\nenabled = true\nalgorithm = \"EdDSA\"\n")
        .and_env("DOORWARD_PUBLIC_URL", "https://id.example.org");
    let api = said.read().unwrap().token_api.unwrap();
    assert_eq!(api.issuer, "https://id.example.org");
    assert!(api.secret.is_none());
    let wrong = refused(&Said::env("AUTH_JWT_SECRET", SECRET).and_env("JWT_ALGO", "none"));
    assert!(wrong.contains("HS256, EdDSA or RS256"), "{wrong}");
}

#[test]
fn an_address_that_is_taken_and_open_introspection_are_told() {
    let said = Said::env("AUTH_JWT_SECRET", SECRET).and_env("AUTH_PORT", "9000");
    assert!(refused(&said).contains("listens on already"));
    let said = Said::env("AUTH_JWT_SECRET", SECRET).and_env("AUTH_INTROSPECT_OPEN", "true");
    assert!(told(&said.read().unwrap()).contains("may introspect"));
    let said = Said::env("AUTH_JWT_SECRET", SECRET)
        .and_env("AUTH_ACCESS_TOKEN_TTL", "600")
        .and_env("AUTH_REFRESH_TOKEN_TTL", "60");
    assert!(refused(&said).contains("longer than"));
}

#[test]
fn the_reference_names_every_old_name() {
    for definition in ALL {
        for name in crate::old_names::of(definition.key) {
            if definition.key == "database_url" {
                continue;
            }
            let quoted = format!("`{name}`");
            assert!(definition.doc.contains(&quoted), "{}: {name}", definition.key);
        }
    }
}
