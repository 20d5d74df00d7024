//! Password hashes: ours, imported ones, and what a hostile import may ask for.

use doorward_crypto::password::{
    Argon2Params, MAX_PASSWORD_LEN, PasswordError, Verified, choose_params, decoy, hash, verify, verify_with,
};

const PASSWORD: &str = "correct horse battery stäple";
const SMALL: Argon2Params = Argon2Params {
    memory_kib: 64,
    iterations: 1,
    parallelism: 1,
};
const OUTDATED: Verified = Verified::Match { outdated: true };
const CURRENT: Verified = Verified::Match { outdated: false };

#[test]
fn a_hash_is_a_phc_string_and_matches_its_password_only() {
    let stored = hash(PASSWORD, &[7; 16], &Argon2Params::FLOOR).unwrap();
    assert!(
        stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$"),
        "{stored}"
    );
    assert_eq!(verify(&stored, PASSWORD), CURRENT);
    assert_eq!(
        verify(&stored, "correct horse battery staple"),
        Verified::Mismatch
    );
    assert_eq!(verify(&stored, ""), Verified::Mismatch);
}

/// The reference implementation's own test for argon2id (phc-winner-argon2, test.c: t=2, m=2^16, p=1, "somesalt");
/// the vector of RFC 9106, section 5.3 needs a secret and associated data, which PHC strings have no place for, and
/// is held by the library's own test below.
#[test]
fn the_reference_implementations_argon2id_string_verifies() {
    let stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    assert_eq!(
        verify(stored, "password"),
        OUTDATED,
        "its salt is 8 bytes, so it is made again"
    );
    assert_eq!(verify(stored, "Password"), Verified::Mismatch);
}

/// RFC 9106, section 5.3: argon2id with secret and associated data, straight from the library that we hash with.
#[test]
fn rfc_9106_section_5_3_argon2id() {
    use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};
    let mut builder = ParamsBuilder::new();
    builder
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .output_len(32)
        .data(AssociatedData::new(&[4; 12]).unwrap());
    let params = builder.build().unwrap();
    let argon2 = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
    let mut tag = [0; 32];
    argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
    );
}

#[test]
fn a_hash_with_weaker_parameters_is_outdated_and_one_with_stronger_is_not() {
    let stored = hash(PASSWORD, &[1; 16], &SMALL).unwrap();
    let with = |memory_kib, iterations| {
        verify_with(
            &stored,
            PASSWORD,
            &Argon2Params {
                memory_kib,
                iterations,
                parallelism: 1,
            },
        )
    };
    assert_eq!(with(64, 1), CURRENT);
    assert_eq!(with(32, 1), CURRENT);
    assert_eq!(with(65, 1), OUTDATED);
    assert_eq!(with(64, 2), OUTDATED);
    assert_eq!(verify(&stored, PASSWORD), OUTDATED);
}

#[test]
fn a_password_beyond_1024_bytes_is_refused_and_never_matches() {
    let longest = "ä".repeat(MAX_PASSWORD_LEN / 2);
    let stored = hash(&longest, &[1; 16], &SMALL).unwrap();
    assert!(verify(&stored, &longest).is_match());
    let longer = format!("{longest}x");
    assert_eq!(hash(&longer, &[1; 16], &SMALL), Err(PasswordError::TooLong));
    assert_eq!(verify(&stored, &longer), Verified::Mismatch);
}

#[test]
fn parameters_out_of_bounds_are_refused() {
    for (memory_kib, iterations, parallelism) in [
        (7, 1, 1),
        (64, 0, 1),
        (64, 1, 0),
        (64, 1, 9),
        (2_000_000, 1, 1),
        (1 << 20, 5, 1),
        (1 << 20, 1, 65),
    ] {
        let params = Argon2Params {
            memory_kib,
            iterations,
            parallelism,
        };
        assert_eq!(
            hash("x", &[1; 16], &params),
            Err(PasswordError::Parameters),
            "{params:?}"
        );
    }
}

#[test]
fn the_decoy_costs_what_a_hash_costs_and_matches_nothing() {
    let decoy = decoy(&SMALL);
    assert!(decoy.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{decoy}");
    let real = hash("x", &[1; 16], &SMALL).unwrap();
    assert_eq!(
        decoy.len(),
        real.len(),
        "same salt and hash lengths, hence the same work"
    );
    for guess in [
        "",
        "x",
        PASSWORD,
        "doorward decoy: this is the hash of nobody's password",
    ] {
        assert_eq!(verify(&decoy, guess), Verified::Mismatch);
    }
}

/// Made by passlib 1.7.4, Django 5.2, argon2-cffi 25.1 and Node's crypto.scrypt (the better-auth format).
const IMPORTED: [(&str, &str); 18] = [
    (
        "bcrypt $2b$",
        "$2b$05$l/1Aa8l9noznb6mt80rHaOHv13icATcPIwLxGkXI//oFRqiZ2i08m",
    ),
    (
        "bcrypt $2a$",
        "$2a$05$ZL1h/BF0wPpPeJkcHBSNCeSW5j2lSIAQRV1dSZjR6675SvpRJ2.aK",
    ),
    (
        "bcrypt $2y$",
        "$2y$05$yKLNvlJcYH2ynR0i5b.cA.VfIhUxUAF1eMhqFVClpFoKUWol7mgTW",
    ),
    (
        "scrypt",
        "$scrypt$ln=8,r=8,p=1$BgAgROj9f6/VGoMwZgyBsA$sUaSFN1co0Smp1a05olCZD+ZVg3f1cWg0V7YdImvFpw",
    ),
    (
        "scrypt, two lanes",
        "$scrypt$ln=7,r=4,p=2$ACAkRMg5h1BKKQUg5Nxbyw$arN9sWMJRnUkaaC6kjGpXT+kRe/XmlOer6QrdD4ZIGY",
    ),
    (
        "sha256-crypt",
        "$5$mKH7MUE6fErBczhX$AMgn1rvtvGXIn.Uoxi1LmQF2hmYvqT9r0qxVeUEqlT7",
    ),
    (
        "sha256-crypt, rounds",
        "$5$rounds=1500$6cUB1jngCuDN6t84$QpcIeLJHivJoHeD8t4SId.2dNBFahnMDbWs9NVn.r43",
    ),
    (
        "sha512-crypt",
        "$6$BqGAljrCplXXxTxG$KMeF9mHREq1f2BB.QkGnYgMiYCtoThXvxK1tTApgexbPXTvRGEG4hcuS1.qgx3MmfxIvcFv9Gy5VAWvEcyvJ//",
    ),
    (
        "sha512-crypt, rounds",
        "$6$rounds=1200$short$F4VBTPbXDeDvOHRfMZMyqdjpFr4SaFxxEggfxRcX1.0W7M62uqbfLt2CuCoN3cggCfnpQwh0WB/i8mX1Z1BaA0",
    ),
    (
        "passlib pbkdf2",
        "$pbkdf2-sha256$2000$l1IKIeTce0/pfc/Ze6/1Xg$JbHXCeLVTuLVAfibZLlR405pnntMM1ugRDCoerMaZDo",
    ),
    (
        "passlib pbkdf2, slashes",
        "$pbkdf2-sha256$1000$//77774AEIM$4tv6T6319gzsLCbUzfYoK91Bh3VmgyttzRPJq5kGzlA",
    ),
    (
        "passlib pbkdf2, dots",
        "$pbkdf2-sha256$1000$................$mT0ud90otuDm4xOm82RJ9DXIKxaFpp3DrkSRmmDEsZM",
    ),
    (
        "Django pbkdf2",
        "pbkdf2_sha256$3000$Zx81kQmN9pLw2aRt$aJM5nx7vgSdceSAuOzd2sFQK+FRaXt+PYybe+8Ioa7M=",
    ),
    (
        "Django argon2",
        "argon2$argon2id$v=19$m=102400,t=2,p=8$YTFiMmMzZDRlNWY2ZzdoOA$AtxKkkO1/ycw8Ny25RWhsEcfvMNmTE1vOzc22ry61EU",
    ),
    (
        "argon2i",
        "$argon2i$v=19$m=1024,t=2,p=2$REhJCQEgBIDwPmcMgTBG6A$wvLjC9QxkIJEVHRPBmEneXRmsUQ18lTGfPDGXWjNYIo",
    ),
    (
        "argon2id, small",
        "$argon2id$v=19$m=2048,t=1,p=4$mXNu7Z3TOoewFmLsnRMiZA$b/7YTnCydndsKHBS+hRxA40T1RWx/NdDXMB6zQTAghM",
    ),
    ("better-auth", BETTER_AUTH),
    ("better-auth in capitals", BETTER_AUTH_CAPITALS),
];
const BETTER_AUTH: &str = concat!(
    "00112233445566778899aabbccddeeff:241ad7ff0ad353d066c4fe0ea9fe7989b7cb5b67f0a344960814f04986df2270",
    "696c164a0841c2be274e04d76f6ab8e4aeb65c743bf6bd0e6e33305830039d78"
);
const BETTER_AUTH_CAPITALS: &str = concat!(
    "00112233445566778899aabbccddeeff:241AD7FF0AD353D066C4FE0EA9FE7989B7CB5B67F0A344960814F04986DF2270",
    "696C164A0841C2BE274E04D76F6AB8E4AEB65C743BF6BD0E6E33305830039D78"
);

#[test]
fn imported_hashes_match_their_password_and_are_outdated() {
    for (name, stored) in IMPORTED {
        assert_eq!(verify(stored, PASSWORD), OUTDATED, "{name}");
    }
}

#[test]
fn imported_hashes_match_no_other_password() {
    for (name, stored) in IMPORTED {
        if name.starts_with("better-auth") {
            continue;
        }
        assert_eq!(
            verify(stored, "Correct horse battery stäple"),
            Verified::Mismatch,
            "{name}"
        );
    }
    assert_eq!(verify(BETTER_AUTH, ""), Verified::Mismatch);
}

#[test]
fn a_better_auth_password_is_compared_in_its_compatibility_form() {
    let stored = concat!(
        "00112233445566778899aabbccddeeff:cc04f95338bf2ca2245f219afe0b26f9673f1ee23049504ccb8fa7adadc4b2c8",
        "2b2b7d8ecad121333605b91e544e54ad8748ff980fd3dd4e6ace73348e6e2a81"
    );
    assert_eq!(
        verify(stored, "\u{fb01}ne A\u{30a}pple \u{ff11}\u{ff12}\u{ff13}"),
        OUTDATED
    );
}

#[test]
fn bcrypt_looks_at_72_bytes_as_it_always_did() {
    let stored = "$2b$04$c./v90nlH0kYdCeus.ywTOIwrYKdA8j7JBCepwA0q36hjDWcJ9DOa";
    assert_eq!(verify(stored, &"x".repeat(72)), OUTDATED);
    assert_eq!(verify(stored, &"x".repeat(100)), OUTDATED);
    assert_eq!(verify(stored, &"x".repeat(71)), Verified::Mismatch);
}

#[test]
fn a_cut_or_extended_hash_is_never_a_match() {
    for (name, stored) in IMPORTED {
        if name.starts_with("better-auth") || name.starts_with("Django argon2") {
            continue;
        }
        for cut in 0..stored.len() {
            assert!(
                !verify(&stored[..cut], PASSWORD).is_match(),
                "{name} cut at {cut}"
            );
        }
        for more in ["$", "A", "=", "$x", " ", "\n"] {
            assert!(
                !verify(&format!("{stored}{more}"), PASSWORD).is_match(),
                "{name} with {more:?}"
            );
        }
    }
}

/// Each of these would take minutes or gigabytes if it were believed.
#[test]
fn a_stored_hash_cannot_ask_for_more_than_a_server_can_give() {
    let salt_and_hash = "BgAgROj9f6/VGoMwZgyBsA$sUaSFN1co0Smp1a05olCZD+ZVg3f1cWg0V7YdImvFpw";
    for stored in [
        format!("$argon2id$v=19$m=4294967295,t=1,p=1${salt_and_hash}"),
        format!("$argon2id$v=19$m=1048576,t=4294967295,p=1${salt_and_hash}"),
        format!("$argon2id$v=19$m=1048577,t=1,p=1${salt_and_hash}"),
        format!("$argon2id$v=19$m=65536,t=65,p=1${salt_and_hash}"),
        format!("$scrypt$ln=31,r=8,p=1${salt_and_hash}"),
        format!("$scrypt$ln=63,r=8,p=1${salt_and_hash}"),
        format!("$scrypt$ln=21,r=8,p=1${salt_and_hash}"),
        format!("$scrypt$ln=14,r=4294967295,p=4294967295${salt_and_hash}"),
        format!("$scrypt$ln=20,r=8,p=5${salt_and_hash}"),
        "$2b$31$l/1Aa8l9noznb6mt80rHaOHv13icATcPIwLxGkXI//oFRqiZ2i08m".to_owned(),
        "$2b$17$l/1Aa8l9noznb6mt80rHaOHv13icATcPIwLxGkXI//oFRqiZ2i08m".to_owned(),
        "$2b$03$l/1Aa8l9noznb6mt80rHaOHv13icATcPIwLxGkXI//oFRqiZ2i08m".to_owned(),
        "$5$rounds=999999999$6cUB1jngCuDN6t84$QpcIeLJHivJoHeD8t4SId.2dNBFahnMDbWs9NVn.r43".to_owned(),
        "$5$rounds=99999999999$6cUB1jngCuDN6t84$QpcIeLJHivJoHeD8t4SId.2dNBFahnMDbWs9NVn.r43".to_owned(),
        "pbkdf2_sha256$4294967295$salt$aJM5nx7vgSdceSAuOzd2sFQK+FRaXt+PYybe+8Ioa7M=".to_owned(),
        "$pbkdf2-sha256$5000001$//77774AEIM$4tv6T6319gzsLCbUzfYoK91Bh3VmgyttzRPJq5kGzlA".to_owned(),
        "$pbkdf2-sha256$0$//77774AEIM$4tv6T6319gzsLCbUzfYoK91Bh3VmgyttzRPJq5kGzlA".to_owned(),
    ] {
        assert_eq!(verify(&stored, PASSWORD), Verified::Unreadable, "{stored}");
    }
}

#[test]
fn what_is_not_a_hash_is_unreadable() {
    let long = format!("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ${}", "A".repeat(600));
    for stored in [
        "",
        "$",
        ":",
        "plaintext",
        PASSWORD,
        "!",
        "*",
        "$1$salt$hash",
        "$2x$05$l/1Aa8l9noznb6mt80rHaOHv13icATcPIwLxGkXI//oFRqiZ2i08m",
        "$argon2d$v=19$m=2048,t=1,p=4$0vofgzBG6B0DoPT+/9+b0w$v0tmStSZO0HqgDFSgk+M4JfWzFCi1qFyeTjWJHLnqYs",
        "$argon2id$v=18$m=2048,t=1,p=4$0vofgzBG6B0DoPT+/9+b0w$v0tmStSZO0HqgDFSgk+M4JfWzFCi1qFyeTjWJHLnqYs",
        "$argon2id$v=19$m=2048,t=1,p=4,keyid=AAAA$0vofgzBG6B0DoPT+/9+b0w$v0tmStSZO0HqgDFSgk+M4JfWzFCi1qFyeTjWJHLnqYs",
        "$argon2id$v=19$t=1,m=2048,p=4$0vofgzBG6B0DoPT+/9+b0w$v0tmStSZO0HqgDFSgk+M4JfWzFCi1qFyeTjWJHLnqYs",
        "$argon2id$v=19$m=+2048,t=1,p=4$0vofgzBG6B0DoPT+/9+b0w$v0tmStSZO0HqgDFSgk+M4JfWzFCi1qFyeTjWJHLnqYs",
        "$argon2id$v=19$m=2048,t=1,p=4$0vofgzBG6B0DoPT+/9+b0w$",
        "$argon2id$v=19$m=2048,t=1,p=4$0vofgzBG6B0DoPT+/9+b0w$v0tmStS=",
        "$5$rounds=1500$",
        "$5$rounds=5$salt",
        "pbkdf2_sha256$1000$salt$",
        "pbkdf2_sha256$1000$salt$aaaa",
        "00112233445566778899aabbccddeeff:00",
        "00112233445566778899aabbccddeexx:241ad7ff",
        &long,
    ] {
        assert_eq!(verify(stored, PASSWORD), Verified::Unreadable, "{stored}");
    }
}

/// A machine whose time for a hash grows with memory and passes.
fn machine(ns_per_kib: u64) -> impl FnMut(&Argon2Params) -> u64 {
    move |params| u64::from(params.memory_kib) * u64::from(params.iterations) * ns_per_kib / 1_000_000
}

#[test]
fn a_usual_machine_gets_more_memory_until_a_hash_takes_60_to_100_ms() {
    for ns_per_kib in [200, 350, 500, 800, 1200, 1500] {
        let mut measure = machine(ns_per_kib);
        let chosen = choose_params(&mut measure, 1024 * 1024, 2);
        let took = measure(&chosen);
        assert!(
            (60..=100).contains(&took),
            "{chosen:?} takes {took} ms at {ns_per_kib}"
        );
        assert!(!chosen.is_weaker_than(&Argon2Params::FLOOR));
        assert_eq!(chosen.parallelism, 1);
    }
}

#[test]
fn little_memory_is_made_up_for_with_passes() {
    let mut measure = machine(500);
    let chosen = choose_params(&mut measure, 64 * 1024, 2);
    assert!(chosen.memory_kib <= 32 * 1024, "{chosen:?}");
    assert!(chosen.iterations > 2, "{chosen:?}");
    assert!((60..=100).contains(&measure(&chosen)), "{chosen:?}");
}

#[test]
fn a_slow_machine_and_one_without_memory_get_the_floor() {
    assert_eq!(
        choose_params(machine(20_000), 1024 * 1024, 1),
        Argon2Params::FLOOR
    );
    assert_eq!(choose_params(machine(2_000), 0, 0), Argon2Params::FLOOR);
}

#[test]
fn a_machine_that_measures_nonsense_still_ends_with_bounded_parameters() {
    let mut calls = 0;
    let zero = choose_params(
        |_| {
            calls += 1;
            0
        },
        u32::MAX,
        1,
    );
    assert!(calls <= 12, "{calls}");
    hash_accepts(&zero);
    let mut flip = 0;
    let jumpy = choose_params(
        |_| {
            flip = 400 - flip;
            flip.min(59)
        },
        u32::MAX,
        1,
    );
    hash_accepts(&jumpy);
    hash_accepts(&choose_params(|_| u64::MAX, u32::MAX, u32::MAX));
}

/// Not computed: only the bounds matter.
fn hash_accepts(params: &Argon2Params) {
    assert!(params.memory_kib <= 256 * 1024, "{params:?}");
    assert!(
        u64::from(params.memory_kib) * u64::from(params.iterations) <= 4 * 1024 * 1024,
        "{params:?}"
    );
    assert!(!params.is_weaker_than(&Argon2Params::FLOOR), "{params:?}");
}
