//! Extractors for axum. Each asks the guard in the router's state; several in one request cost one check.

use std::marker::PhantomData;
use std::ops::Deref;

use axum_core::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::caller::{Caller, Person, Service};
use crate::guard::Guard;
use crate::refusal::{Kind, Refusal};

/// Who calls, when it was found out earlier in the same request by the same guard.
#[derive(Clone)]
struct Checked {
    by: Guard,
    caller: Caller,
}

impl Guard {
    /// Who sends the request that these are the parts of. Asked once per request; what was found out is kept in it.
    ///
    /// # Errors
    ///
    /// As [`Guard::authenticate`].
    pub async fn caller(&self, parts: &mut Parts) -> Result<Caller, Refusal> {
        let same = |checked: &&Checked| std::sync::Arc::ptr_eq(&checked.by.0, &self.0);
        if let Some(checked) = parts.extensions.get::<Checked>().filter(same) {
            return Ok(checked.caller.clone());
        }
        let caller = self.authenticate(&parts.method, &parts.headers).await?;
        parts.extensions.insert(Checked {
            by: self.clone(),
            caller: caller.clone(),
        });
        Ok(caller)
    }
}

impl<S> FromRequestParts<S> for Caller
where
    Guard: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        Guard::from_ref(state).caller(parts).await
    }
}

/// `Option<Caller>`: nobody when nothing was presented, or only a cookie whose session is over. A token that does not
/// count is still refused, and a fault is still a fault.
impl<S> OptionalFromRequestParts<S> for Caller
where
    Guard: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Refusal> {
        match Guard::from_ref(state).caller(parts).await {
            Ok(caller) => Ok(Some(caller)),
            Err(refusal) if refusal.is_anonymous() => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }
}

/// A person; services are refused.
#[derive(Clone, Debug)]
pub struct RequirePerson(pub Person);

impl Deref for RequirePerson {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.0
    }
}

impl<S> FromRequestParts<S> for RequirePerson
where
    Guard: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let caller = Guard::from_ref(state).caller(parts).await?;
        let person = caller.person().ok_or_else(|| Refusal::of(Kind::PersonsOnly))?;
        Ok(Self(person.clone()))
    }
}

/// A service; people are refused.
#[derive(Clone, Debug)]
pub struct RequireService(pub Service);

impl Deref for RequireService {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.0
    }
}

impl<S> FromRequestParts<S> for RequireService
where
    Guard: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let caller = Guard::from_ref(state).caller(parts).await?;
        let service = caller.service().ok_or_else(|| Refusal::of(Kind::ServicesOnly))?;
        Ok(Self(service.clone()))
    }
}

/// Gives a scope a type, for [`RequireScope`].
///
/// ```
/// struct Write;
/// impl doorward_guard::ScopeName for Write {
///     const NAME: &'static str = "notes:write";
/// }
/// ```
pub trait ScopeName {
    /// The scope as it stands in tokens.
    const NAME: &'static str;
}

/// A caller whose token carries the scope.
pub struct RequireScope<N> {
    /// The caller.
    pub caller: Caller,
    scope: PhantomData<fn() -> N>,
}

impl<N, S> FromRequestParts<S> for RequireScope<N>
where
    N: ScopeName,
    Guard: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let caller = Guard::from_ref(state).caller(parts).await?;
        if !caller.has_scope(N::NAME) {
            return Err(Refusal::of(Kind::InsufficientScope(N::NAME.to_owned())));
        }
        Ok(Self {
            caller,
            scope: PhantomData,
        })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status(), self.headers(), self.body()).into_response()
    }
}
