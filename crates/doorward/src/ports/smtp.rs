//! Hands mails to the mail server of the settings. The connection is built at the first mail.

use std::sync::OnceLock;
use std::time::Duration;

use doorward_config::{Mail, MailSecurity};
use doorward_core::ports::{Boxed, Letter, MailError, Mailer};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

/// Longest time that a mail server may take.
const SLOWEST: Duration = Duration::from_secs(20);

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// A mail server.
pub(super) struct Smtp {
    mail: Mail,
    transport: OnceLock<Result<Transport, MailError>>,
}

fn failed(what: &str, error: &dyn std::error::Error) -> MailError {
    let mut text = format!("{what}: {error}");
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    MailError(text)
}

impl Smtp {
    /// Nothing is connected before the first mail.
    pub(super) fn new(mail: Mail) -> Self {
        Self {
            mail,
            transport: OnceLock::new(),
        }
    }

    fn transport(&self) -> Result<&Transport, MailError> {
        let built = self.transport.get_or_init(|| {
            let host = self.mail.host.clone();
            let tls =
                || TlsParameters::new(host.clone()).map_err(|error| failed("TLS to the mail server", &error));
            let tls = match self.mail.security {
                MailSecurity::Plain => Tls::None,
                MailSecurity::StartTls => Tls::Required(tls()?),
                MailSecurity::Tls => Tls::Wrapper(tls()?),
            };
            let mut builder = Transport::builder_dangerous(host.clone())
                .port(self.mail.port)
                .tls(tls)
                .timeout(Some(SLOWEST));
            if let Some(login) = &self.mail.login {
                let password = login.password.expose().to_owned();
                builder = builder.credentials(Credentials::new(login.username.clone(), password));
            }
            Ok(builder.build())
        });
        built.as_ref().map_err(Clone::clone)
    }
}

impl Mailer for Smtp {
    fn send<'a>(&'a self, letter: &'a Letter) -> Boxed<'a, Result<(), MailError>> {
        Box::pin(async move {
            let read = |text: &str, what: &str| {
                text.parse::<Mailbox>()
                    .map_err(|error| failed(&format!("the {what} of a mail cannot be read"), &error))
            };
            let message = Message::builder()
                .from(read(&self.mail.from, "sender")?)
                .to(read(&letter.to, "receiver")?)
                .subject(letter.subject.clone())
                .header(ContentType::TEXT_PLAIN)
                .body(letter.text.clone())
                .map_err(|error| failed("a mail cannot be written", &error))?;
            let sent = self.transport()?.send(message).await;
            sent.map(|_| ())
                .map_err(|error| failed("the mail server did not take a mail", &error))
        })
    }
}
