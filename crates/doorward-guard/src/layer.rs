//! Layers for whole routers: everything below them is for somebody, for a role, for a scope.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::caller::Caller;
use crate::guard::Guard;
use crate::refusal::{Kind, Refusal};

impl Guard {
    /// A layer that lets in whoever can say who they are. More can be asked for: [`Require::role`] and the others.
    ///
    /// ```no_run
    /// # fn routes(guard: doorward_guard::Guard) -> axum::Router {
    /// # async fn users() {}
    /// axum::Router::new()
    ///     .route("/admin/users", axum::routing::get(users))
    ///     .route_layer(guard.require().person().role("admin"))
    /// # }
    /// ```
    pub fn require(&self) -> Require {
        Require {
            guard: self.clone(),
            wants: Vec::new(),
        }
    }

    /// A layer for those with this role: short for `require().role(…)`.
    pub fn require_role(&self, role: &str) -> Require {
        self.require().role(role)
    }

    /// A layer for tokens with this scope: short for `require().scope(…)`.
    pub fn require_scope(&self, scope: &str) -> Require {
        self.require().scope(scope)
    }
}

/// A layer that refuses whoever lacks something; all of what it names is needed.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is on a router"]
pub struct Require {
    guard: Guard,
    wants: Vec<Want>,
}

#[derive(Clone, Debug)]
enum Want {
    Person,
    Service,
    Role(String),
    Scope(String),
}

impl Require {
    /// People only.
    pub fn person(self) -> Self {
        self.and(Want::Person)
    }

    /// Services only.
    pub fn service(self) -> Self {
        self.and(Want::Service)
    }

    /// This role.
    pub fn role(self, role: &str) -> Self {
        self.and(Want::Role(role.to_owned()))
    }

    /// This scope.
    pub fn scope(self, scope: &str) -> Self {
        self.and(Want::Scope(scope.to_owned()))
    }

    fn and(mut self, want: Want) -> Self {
        self.wants.push(want);
        self
    }

    fn check(&self, caller: &Caller) -> Result<(), Refusal> {
        for want in &self.wants {
            let missing = match want {
                Want::Person => caller.person().is_none().then_some(Kind::PersonsOnly),
                Want::Service => caller.service().is_none().then_some(Kind::ServicesOnly),
                Want::Role(role) => (!caller.has_role(role)).then(|| Kind::MissingRole(role.clone())),
                Want::Scope(scope) => {
                    (!caller.has_scope(scope)).then(|| Kind::InsufficientScope(scope.clone()))
                }
            };
            if let Some(kind) = missing {
                return Err(Refusal::of(kind));
            }
        }
        Ok(())
    }
}

impl<S> Layer<S> for Require {
    type Service = Required<S>;

    fn layer(&self, inner: S) -> Required<S> {
        Required {
            inner,
            require: self.clone(),
        }
    }
}

/// A service behind [`Require`].
#[derive(Clone, Debug)]
pub struct Required<S> {
    inner: S,
    require: Require,
}

impl<S> Service<Request<Body>> for Required<S>
where
    S: Service<Request<Body>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that said it is ready is the one that is called.
        let waiting = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, waiting);
        let require = self.require.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let checked = match require.guard.caller(&mut parts).await {
                Ok(caller) => require.check(&caller),
                Err(refusal) => Err(refusal),
            };
            match checked {
                Ok(()) => inner.call(Request::from_parts(parts, body)).await,
                Err(refusal) => Ok(refusal.into_response()),
            }
        })
    }
}
