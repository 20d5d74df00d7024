//! Form fields as data, so that every form draws them the same way: label, hint, input, complaint.

use super::Message;

/// What sort of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Email,
    Password,
}

/// One labelled input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    /// Name in the form; binding for scripts and tests.
    pub(crate) name: &'static str,
    /// Message key of the label.
    pub(crate) label: &'static str,
    /// Message key of a line below the label.
    pub(crate) hint: Option<&'static str>,
    pub(crate) kind: Kind,
    /// What was typed before; never drawn for passwords.
    pub(crate) value: &'a str,
    /// Value of the `autocomplete` attribute (HTML section 4.10.18.7).
    pub(crate) autocomplete: &'static str,
    /// What is wrong with this very field.
    pub(crate) problem: Option<&'a Message<'a>>,
    /// Whether the keyboard starts here.
    pub(crate) focus: bool,
    /// Whether the browser may insist on a value.
    pub(crate) required: bool,
}

impl<'a> Field<'a> {
    pub(crate) const fn text(name: &'static str, label: &'static str, value: &'a str) -> Self {
        Self {
            name,
            label,
            hint: None,
            kind: Kind::Text,
            value,
            autocomplete: "off",
            problem: None,
            focus: false,
            required: true,
        }
    }

    pub(crate) const fn password(
        name: &'static str,
        label: &'static str,
        autocomplete: &'static str,
    ) -> Self {
        let mut field = Self::text(name, label, "");
        field.kind = Kind::Password;
        field.autocomplete = autocomplete;
        field
    }

    /// Value of the `type` attribute.
    pub(crate) const fn input(&self) -> &'static str {
        match self.kind {
            Kind::Text => "text",
            Kind::Email => "email",
            Kind::Password => "password",
        }
    }

    pub(crate) fn is_password(&self) -> bool {
        self.kind == Kind::Password
    }

    /// Ids of the lines that belong to this input, the complaint first.
    pub(crate) fn described_by(&self) -> Option<String> {
        let complaint = self.problem.map(|_| format!("{}-problem", self.name));
        let hint = self.hint.map(|_| format!("{}-hint", self.name));
        let ids: Vec<String> = complaint.into_iter().chain(hint).collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    }

    /// The complaint of a form about this field, if it has one.
    pub(crate) fn complain(mut self, problems: &'a [(&'a str, Message<'a>)]) -> Self {
        self.problem = problems
            .iter()
            .find(|(name, _)| *name == self.name)
            .map(|(_, message)| message);
        self
    }
}
