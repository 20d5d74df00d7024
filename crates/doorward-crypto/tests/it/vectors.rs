//! Published and foreign-made examples. Keys here are public ones, or the private ones that an RFC prints.

/// RFC 7515, appendix A.2 (RS256): the public key.
pub(crate) const RFC7515_A2_KEY: &str = r#"{"kty": "RSA", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ", "e": "AQAB"}"#;

/// RFC 7515, appendix A.2 (RS256): the token.
pub(crate) const RFC7515_A2_TOKEN: &str = r#"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"#;

/// RFC 7515, appendix A.3 (ES256): the public key.
pub(crate) const RFC7515_A3_KEY: &str = r#"{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

/// RFC 7515, appendix A.3 (ES256): the token.
pub(crate) const RFC7515_A3_TOKEN: &str = r#"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"#;

/// RFC 7515, appendix A.4 (ES512): the public key.
pub(crate) const RFC7515_A4_KEY: &str = r#"{"kty": "EC", "crv": "P-521", "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk", "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#;

/// RFC 7515, appendix A.4 (ES512): the token.
pub(crate) const RFC7515_A4_TOKEN: &str = r#"eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"#;

/// RFC 7515, appendix A.2: the private key as PKCS #8 in base64.
pub(crate) const RFC7515_A2_PKCS8: &str = r#"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCh+BYK4uPJtGXOjS1lYmM2K5J9vinh8CR3/BYlzJChNuOL2TSXxbbqY913EeZ8dCn5VrD7io8ImtxLaYk8wTM/U+3QGbh3hCUv7JFP5IV3aVlL6kKA0ywPVb9ilE8TA5a8bpvfbr3SvaNnjuygxmj3AbONv/s4yDQs4v5tJ/reSlpIdJed1LnPmt7Ex1sFhSwsD174pcF1A5L5ROjtZMEQxrZHYJqkeDrrnGya11UxMFBji4NmXG9veoKjlnAqH2QbgtPr8jkiGUkftoaHLFcW9Qr4NY2ai50Xw0Byj3+H2JoY2PyrZ62EWQwuz3WTOTY8BwNNb2BvniHgVFbK5emhAgMBAAECggEAEq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7/GQ5sLKMgvfTeXZx9SE+7YwVol2NXOoAJe46sui395IW/GO+pWJ1O0BkTGoVEn2bKVRUCgu+GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M/V51gfpRLI9JYanrC4D4qAdGcopV/0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl/x/jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR/RQyGWSeWjnczT0QU91p1DhOVRuOopznQKBgQDgHMQQ60imZV1URk0KpLttoLhyt3SmqdEf/kgHePDdtzEafpAu+cS191R2JiuoF2yzWXnwFDcqGigp5BNr0AHQfD8/Lk8l1Mk09jxxCfui5nYooNyac8YFjm3vItzVCVDnEd3BbVWG8qf6deqElMGAg+C2V0L4oNXnP7LZcPAZRwKBgQC5A8R+CZW2MvRTLLHzwZkUXV866cff7tx6kqa0finGG0KgeqlaZPxgCZnFp7AeAcCMtiynVlJ7vMVgePsLq6XtON4tB5kP9jAPrq3rbAOal78eUH5OcED6eNuCV8ixEu1eWcPNCS/l1OW1EnXUEoEHKl54Xrrz2uNwkgMTP1FZ1wKBgAcCn1dwJKufzBWQxWQp1vsM5fggqPN1qGb5y0MAk3g7/Ls5bkUp5u9SN0Ai3Ya6hNnvWJMb7sXQX6U/zyO2M/hTip7tUeh7CXgwo59dkpN75gJLVds29+DAncu3KXU4f2Fa+7bLNrur53k8KwPOq2bbuTG69QtV7Jr5MR0AHWKNAoGBAIf/evpitUf+4JYbLpvNXWcY052Mpz22aR84mY3nh3F2LF2mjMJDpTg7FmuyPcVw6EcGyoAe9fa65iNqCq+jdw6PVNGo2hxfjSiZ8IIzHdsPXI89//pMjZcQK9r+CCoRjaZjOYiIDktVWZzmevJuv6WywUqd57LE3Zar3dLSIkx1AoGAIYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd+DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd/QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp/gh6A5603k2+ZQwVK0JKSHuLFkuQ3U="#;

/// RFC 7638, section 3.1: the key.
pub(crate) const RFC7638_KEY: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;

/// RFC 8037, appendix A.2: the public key.
pub(crate) const RFC8037_KEY: &str =
    r#"{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// RFC 8037, appendix A.4: the token.
pub(crate) const RFC8037_TOKEN: &str = r#"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"#;

/// RFC 8037, appendix A.1: the private key as PKCS #8 in base64.
pub(crate) const RFC8037_PKCS8: &str = r#"MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"#;

/// Public keys made by OpenSSL (through jwcrypto).
pub(crate) const FOREIGN_KEYS: [(&str, &str); 4] = [
    (
        "RSA",
        r#"{"e": "AQAB", "kty": "RSA", "n": "wSHs8zEU5DTBjwgxgRHoGA3mncDI0bHcZSpQN-jp6F9dGsBLX-ZfZ-kKBwaDRkwaQfjoq9sY3a0VwZo5qSNvpFxMRnrSACRDh9lysOqC5Lx1uhpf2AcB5wk9o6_pYLHgPYLp3RBeRMUXpidSE4AKKcuwJTEp1PP-58k0QuCyiNJkrnAbS2kjC8C0oQ5vcoOxHpSm8FNRxCo3fwF6D6aOYUeA15QKgaSj1c6ISpaAVqbynlKxoMo50ScplkYplBXpsKf3G1fX0mGJy3qcNUrxZBjGwJLFpgVDoPBx3b16MAdNapaTvr3bXS2NzSHTB-RRzdgD9BApBh7knuhdCUG6VQ"}"#,
    ),
    (
        "P-256",
        r#"{"crv": "P-256", "kty": "EC", "x": "JudPsdcd8WZiIumQDMGPHq68jY3DjMZweMoryYc24xs", "y": "3ACXTdLMyvNkXKfPbWnDf24QoWLWETflYVdsRaFrs3w"}"#,
    ),
    (
        "P-384",
        r#"{"crv": "P-384", "kty": "EC", "x": "sVDIVqH6dPJs_ASgUiZVEwElUeWrpR0_iQ_Dfm4Iw7Z81Kb4FK-QOY4FOROQri9a", "y": "eoZnmU-fP573X_dow_DIpv-mYIZS7hFGK1gAhOBjtBY5qdCAjvKA8_m6WZsahbo2"}"#,
    ),
    (
        "Ed",
        r#"{"crv": "Ed25519", "kty": "OKP", "x": "pfwidjKH6Q8BQ-YDXkWdKiENq3WI3TT3ECkLgyADktI"}"#,
    ),
];

/// Tokens with the claims `{"sub":"alice"}` signed by OpenSSL with the keys above: algorithm, key, token.
pub(crate) const FOREIGN_TOKENS: [(&str, &str, &str); 9] = [
    (
        "RS256",
        "RSA",
        "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.aEwV03ZNMip2VGVwiVPBrdvEa6Pf3WM_iLzHmL20pC_iATLn1AyR0xdW51aUH_mSc7E3qrb60bquorHyZMxYKr0LVv8kdYbPkB-phRnmIb4YU8CgXOwyoHaJ4cslA_los320wphTJqX5JXyAJsAp2Uu6pyWRl8H3UPU4G68hgJqWC_0H-P9myjxKKr2KdNQUugWCXcrDb8itNU_owStMcTMXev5qoE3_buqCyHCQCdeC6bBH8uCIVWh1_pAWoT-jvHdw34hqc8-wlFneiiKh_uRo-izWMCN2qDYiS0xkNSyXbZS8th2rUB2hJbupJ2kZrMH3AKoLTehy7l08L0fCIw",
    ),
    (
        "RS384",
        "RSA",
        "eyJhbGciOiJSUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.WMNHEM-0p9eo8uNEi7v9C4XHT-i10nfGfEWT2wTTbw7X0jsC5Dr6L5qzu1-VxJdBMvM-zrSnsbDVMvHkk6pG0ZI5xZU6cguxT0w2IpDcNMcEIZLlWRa09MozVdN2I7rOaEm_sNSKGEGoNpMShkmL6P-TIrS6oYHJu-sHLJ4S5A0xQMpntt9z06jxEfwUqgwe6K60MqZgxo_hvqx5XN2277YScFYZgDE8aQRBJwaNZ4mFWdWZY_wVkt1kxev5XyRuPO8ssXFYGJ5S6z4001-9lWdhP4ZcFe4MgHzp9VkMdTzUGgqSub2YOU9QENLtuPjehrv2lfmPkFooYuuET7OCmQ",
    ),
    (
        "RS512",
        "RSA",
        "eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.upd47AxijBIBGVlGTsye21r3g0vjoBmaojKJ_uSaSJb-vUZWflcImeI-kA9QtUP3tnGKxrU1uftU8nGY1L9ImXecW9uNsqwr-i8VHhJI5k87K0YceIX4McY6GpGne0e0B5pIkeFmYc6ThkFMN7DBpvpoAVqoUn7MyWi99I3cYySASfOY9-xO7SDcTIzSS9tbTtRo65lnMsYVt5MMS5HSbDcJKTZXTrUVJYCQy9zM0Ghh1Jfuslz8ByonWVxQHGluOF0Pg_SKtBtEu387zuTIHMtGQIeNiSZePXUrdhm-fTyj6ewEcKSjWwK0-xNomLZEK3Qa_ryj3za-VWm6dnwT_A",
    ),
    (
        "PS256",
        "RSA",
        "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.VGuCDXu4fF52d6rlV4xUvWxTODdgKaGHe9R2YU-cQeb7_xkpjYiHKdeQtTwt1V0rK2utUrMkJ92k5HBoVpg9t7HinJU-EvyqhxQBauAuS_UivG7LCo_3zP5suQju6JCVOueL2x71b0FKOY_FWvzzgPKNF4QyLPt-fSt2V3eOrDctR139jUTk6YTO4ToOCqX8t7Dflbd_tdfvSmQzT7kbIfRKhExc2BG3vJ_VJt8VhpHh8NHT17_COBQav06o9AhaN-rxBwUDu4psuL3svpXpToUefA8X2Wqekac5UZWxqyYAXONExW1mFTlwEiZd-V9RR485-Adwo9FP-q-DstBItQ",
    ),
    (
        "PS384",
        "RSA",
        "eyJhbGciOiJQUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.uh0enMaLfqntMSM5ZqPkwjcpeIFl1KoGwFAJMtngsiG2-J0tjoQJ5aEYZodXULchDuitr7uFbXqNDKw3NJ0Ax-3QsI2dMWxfmRRnjDD8JPrSjvbgd72nls3xHemmy6tnCcovkd5aupaq0TrDIG2TF_a3jQFi_Ekx6caqlgcKyJUjYJPyra-FQRvVbCmrISLj86a4WsN8-PYbOfe9IZKeAV-0oKHZ9qwOW__YRhBaj0vVcQ3OsaxKao8lfLfT7BFtJVZ7i26koeyyrsG3a-DsaBkbNXu7E7xTTvFF86RgZZIYw8JyiimuJUs4RtFYUav4bN5imAO-oh4jCn2EG8R_YA",
    ),
    (
        "PS512",
        "RSA",
        "eyJhbGciOiJQUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.TxG_QnTKqhhoL9iKpJil2QACzLokbf6WNQoH8Q3Pt_YX5zqaFnHHJFMa18RoG4a5gnJFuVrzzcfrr4O3-ARo8n92kfzVUUTjyRxDSx9ZJmg3rmhBNkM3KPXyXK4mn4l1LVbNsd7kzxpLCFLTeAxMpbS85gSLZX1qh9IKe5yQO3he4tmSFJMKX_kY5EtwrBhHK3Qd3ZAth6cqxU4JZ897dRJ04yp6uccowSpm_r0M9BcF1MDyk_wwoPXZBEQGLJQllKokAX9QiK7YT8qUh34UYMMG4lhC06RGnE_R60D21lpMJVg8ACZ8dJcmoriq07oGxY8HFJc2kM4Ki3oyHgH4bQ",
    ),
    (
        "ES256",
        "P-256",
        "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.4TGAAcBvuLGJivXRThL1Dyspif6iRz72_ZDsQLLrQvVmjbA7ePK6rXCGtVuKF_DxjRf9Bg1t4zB8sbk9ZQlNCw",
    ),
    (
        "ES384",
        "P-384",
        "eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.VNRm5WU29Rpv5DZ45V5t6V4x8NF0KuDzAD6SpqWqdN4iPqWCrlEaHDnaoiXakJVqq2pzE0Kh7l7ZiEVn0VmCjzHP6bY57M3-vv2stBtPFo7GkgmMudKIqFSCQP2T84dd",
    ),
    (
        "EdDSA",
        "Ed",
        "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.ZgmWhmz5ALV0drV-Jai21clN1tN0vLHykSgJbEsczwT4oiw7ZX7jWAIMJweJoLon4D7v9TIYrYPU3xGAbJ29Cw",
    ),
];

/// RFC 7520, section 3.3: the RSA public key.
pub(crate) const RFC7520_RSA_KEY: &str = r#"{"kty": "RSA", "kid": "bilbo.baggins@hobbiton.example", "n": "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw", "e": "AQAB"}"#;

/// RFC 7520, section 4.1.3 (RS256): the token.
pub(crate) const RFC7520_RS256_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg";

/// RFC 7520, section 4.2.3 (PS384): the token.
pub(crate) const RFC7520_PS384_TOKEN: &str = "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw";
