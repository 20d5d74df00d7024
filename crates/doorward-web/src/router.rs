//! The whole URL map on one page. Every route says who may call it; a test walks the table with every kind of caller.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::header::{
    HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, Method, StatusCode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use std::net::IpAddr;
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Level;

use doorward_core::Doorward;
use doorward_core::metrics::{RequestLabels, RouteLabel};

use crate::forwarded::Written;
use crate::reply::{Forms, Noted, Reply};
use crate::service::{AtHand, Door, Lane, Lanes, Service};
use crate::upstream::Passed;
use crate::{
    App, BuildInfo, Options, flow, forward_auth, forwarded, forwarding, oidc, operation, portal, token_api,
};

/// Who may call a route with success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Everybody; nothing is given away and nothing is written.
    Anyone,
    /// A browser; pages that lead to a sign-in or answer one.
    Browser,
    /// A signed-in person.
    Person,
    /// A registered client with its credentials.
    Client,
    /// The bearer of an access token.
    Bearer,
    /// The holder of a one-time link.
    LinkHolder,
    /// A reverse proxy that the operator trusts, which asks on behalf of somebody.
    Proxy,
    /// A service with pages of its own, on behalf of somebody.
    Program,
    /// The operator: this machine, trusted networks, or the metrics token.
    Operator,
}

/// One row of the map.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Path pattern.
    pub path: &'static str,
    /// Methods; GET includes HEAD. Empty: every method.
    pub methods: &'static [Method],
    /// Who may call it.
    pub caller: Caller,
    /// Is a line written to the log for each request at the usual level?
    pub quiet: bool,
    /// Is it one of the token API, which is there only when that is on?
    pub token_api: bool,
}

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const BOTH: &[Method] = &[Method::GET, Method::POST];

struct Row {
    route: Route,
    serves: MethodRouter<App>,
    lane: Option<Lane>,
}

fn row<H, T>(path: &'static str, methods: &'static [Method], caller: Caller, handler: H) -> Row
where
    H: Handler<T, App>,
    T: 'static,
{
    let filter = methods
        .iter()
        .filter_map(|method| MethodFilter::try_from(method.clone()).ok())
        .reduce(MethodFilter::or);
    let serves = match filter {
        Some(filter) => on(filter, handler),
        None => MethodRouter::new(),
    };
    Row {
        route: Route {
            path,
            methods,
            caller,
            quiet: false,
            token_api: false,
        },
        serves,
        lane: None,
    }
}

/// A route that answers every method: the proxy hands on the one of the original request.
fn any<H, T>(path: &'static str, caller: Caller, handler: H) -> Row
where
    H: Handler<T, App>,
    T: 'static,
{
    Row {
        route: Route {
            path,
            methods: &[],
            caller,
            quiet: false,
            token_api: false,
        },
        serves: axum::routing::any(handler),
        lane: None,
    }
}

impl Row {
    /// Scripts of other sites may call it: answers preflights.
    fn cors(mut self) -> Self {
        self.serves = self.serves.on(MethodFilter::OPTIONS, oidc::preflight);
        self
    }
    /// Called often and worth no line.
    fn quiet(mut self) -> Self {
        self.route.quiet = true;
        self
    }
    /// One of the token API, which has words of its own for other methods.
    fn token_api(mut self) -> Self {
        self.route.token_api = true;
        self.serves = self.serves.fallback(token_api::wrong_method);
        self
    }
    /// GET is asked for all the time, and the answer mostly lies ready: it is given without the router's detours.
    fn at_hand(mut self, answer: AtHand) -> Self {
        self.lane = Some(Lane::AtHand(answer));
        self
    }
    /// Every request of a guarded site asks here: the same handler, without the router's detours.
    fn direct(mut self, answer: Door) -> Self {
        self.lane = Some(Lane::Direct(answer));
        self
    }
}

#[expect(clippy::too_many_lines, reason = "the whole URL map on one page is the point")]
fn table() -> Vec<Row> {
    use Caller::{Anyone, Bearer, Browser, Client, LinkHolder, Operator, Person, Program, Proxy};
    vec![
        // OpenID provider, for all applications
        row("/application/o/authorize/", BOTH, Browser, oidc::authorize),
        row("/application/o/token/", POST, Client, oidc::token).cors(),
        row("/application/o/userinfo/", BOTH, Bearer, oidc::userinfo).cors(),
        row("/application/o/introspect/", POST, Client, oidc::introspect).cors(),
        row("/application/o/revoke/", POST, Client, oidc::revoke).cors(),
        row("/application/o/device/", POST, Client, oidc::device).cors(),
        row("/application/o/par/", POST, Client, oidc::par).cors(),
        row("/application/o/jwks/", GET, Anyone, oidc::jwks_global)
            .cors()
            .at_hand(oidc::jwks_at_hand),
        row(
            "/application/o/end-session/",
            BOTH,
            Browser,
            flow::sign_out::end_session_global,
        ),
        row(
            "/.well-known/openid-configuration",
            GET,
            Anyone,
            oidc::discovery_global,
        )
        .cors()
        .at_hand(oidc::discovery_at_hand),
        row(
            "/.well-known/oauth-authorization-server",
            GET,
            Anyone,
            oidc::discovery_global,
        )
        .cors()
        .at_hand(oidc::discovery_at_hand),
        // OpenID provider, one application
        row("/application/o/{slug}/", GET, Anyone, oidc::to_discovery).cors(),
        row("/application/o/{slug}/jwks/", GET, Anyone, oidc::jwks_of)
            .cors()
            .at_hand(oidc::jwks_at_hand),
        row(
            "/application/o/{slug}/end-session/",
            BOTH,
            Browser,
            flow::sign_out::end_session_of,
        ),
        row(
            "/application/o/{slug}/.well-known/openid-configuration",
            GET,
            Anyone,
            oidc::discovery_of,
        )
        .cors()
        .at_hand(oidc::discovery_at_hand),
        row(
            "/application/o/{slug}/.well-known/oauth-authorization-server",
            GET,
            Anyone,
            oidc::discovery_of,
        )
        .cors()
        .at_hand(oidc::discovery_at_hand),
        row(
            "/.well-known/openid-configuration/application/o/{slug}",
            GET,
            Anyone,
            oidc::discovery_of,
        )
        .cors()
        .at_hand(oidc::discovery_at_hand),
        row(
            "/.well-known/openid-configuration/application/o/{slug}/",
            GET,
            Anyone,
            oidc::discovery_of,
        )
        .cors()
        .at_hand(oidc::discovery_at_hand),
        row(
            "/.well-known/oauth-authorization-server/application/o/{slug}",
            GET,
            Anyone,
            oidc::discovery_of,
        )
        .cors()
        .at_hand(oidc::discovery_at_hand),
        row(
            "/.well-known/oauth-authorization-server/application/o/{slug}/",
            GET,
            Anyone,
            oidc::discovery_of,
        )
        .cors()
        .at_hand(oidc::discovery_at_hand),
        // Forward auth, asked by reverse proxies
        any("/.doorward/auth/nginx", Proxy, forward_auth::nginx)
            .quiet()
            .direct(forward_auth::NGINX),
        any("/.doorward/auth/traefik", Proxy, forward_auth::traefik)
            .quiet()
            .direct(forward_auth::TRAEFIK),
        any("/.doorward/auth/caddy", Proxy, forward_auth::caddy)
            .quiet()
            .direct(forward_auth::CADDY),
        any("/.doorward/auth/haproxy", Proxy, forward_auth::haproxy)
            .quiet()
            .direct(forward_auth::HAPROXY),
        // A catch-all takes no empty rest: `/` of a site has a row of its own.
        any("/.doorward/auth/envoy/", Proxy, forward_auth::envoy)
            .quiet()
            .direct(forward_auth::ENVOY),
        any("/.doorward/auth/envoy/{*path}", Proxy, forward_auth::envoy)
            .quiet()
            .direct(forward_auth::ENVOY),
        any("/outpost.goauthentik.io/auth/nginx", Proxy, forward_auth::nginx)
            .quiet()
            .direct(forward_auth::NGINX),
        any(
            "/outpost.goauthentik.io/auth/traefik",
            Proxy,
            forward_auth::traefik,
        )
        .quiet()
        .direct(forward_auth::TRAEFIK),
        any("/outpost.goauthentik.io/auth/caddy", Proxy, forward_auth::caddy)
            .quiet()
            .direct(forward_auth::CADDY),
        any(
            "/outpost.goauthentik.io/auth/envoy/",
            Proxy,
            forward_auth::envoy_twin,
        )
        .quiet()
        .direct(forward_auth::ENVOY_TWIN),
        any(
            "/outpost.goauthentik.io/auth/envoy/{*path}",
            Proxy,
            forward_auth::envoy_twin,
        )
        .quiet()
        .direct(forward_auth::ENVOY_TWIN),
        // Forward auth, opened by browsers on the host of a site
        row("/.doorward/start", GET, Browser, forward_auth::start),
        row("/.doorward/callback", GET, Browser, forward_auth::callback),
        row("/.doorward/sign_out", GET, Browser, forward_auth::sign_out),
        row("/.doorward/denied", GET, Proxy, forward_auth::denied),
        row("/.doorward/ping", GET, Anyone, forward_auth::ping).quiet(),
        row("/outpost.goauthentik.io/start", GET, Browser, forward_auth::start),
        row(
            "/outpost.goauthentik.io/callback",
            GET,
            Browser,
            forward_auth::callback,
        ),
        row(
            "/outpost.goauthentik.io/sign_out",
            GET,
            Browser,
            forward_auth::sign_out,
        ),
        row("/outpost.goauthentik.io/ping", GET, Anyone, forward_auth::ping).quiet(),
        // Flows
        row("/if/flow/sign-in/", BOTH, Browser, flow::sign_in::sign_in),
        row(
            "/if/flow/default-authentication-flow/",
            GET,
            Browser,
            flow::sign_in::alias,
        ),
        row(
            "/if/flow/select-account/",
            BOTH,
            Person,
            flow::select_account::answer,
        ),
        row("/if/flow/consent/", BOTH, Person, flow::consent::answer),
        row("/if/flow/sign-out/", BOTH, Browser, flow::sign_out::sign_out),
        row("/device", BOTH, Person, flow::device::device),
        row(
            "/if/flow/initial-setup/",
            BOTH,
            LinkHolder,
            flow::links::initial_setup,
        ),
        row("/setup/{token}", BOTH, LinkHolder, flow::links::setup),
        row("/recover/{token}", BOTH, LinkHolder, flow::links::recover),
        // Portal
        row("/", GET, Anyone, operation::root),
        row("/if/user/", GET, Person, portal::tiles),
        row("/if/user/profile/", BOTH, Person, portal::profile),
        row("/if/user/password/", BOTH, Person, portal::password),
        row("/if/user/app-passwords/", BOTH, Person, portal::app_passwords),
        row("/if/user/sessions/", BOTH, Person, portal::sessions),
        row("/if/user/grants/", BOTH, Person, portal::grants),
        row("/if/user/activity/", GET, Person, portal::activity),
        // Token API, when it is on
        row("/api/auth/register", POST, Program, token_api::register).token_api(),
        row("/api/auth/login", POST, Program, token_api::login).token_api(),
        row("/api/auth/refresh", POST, Program, token_api::refresh).token_api(),
        row("/api/auth/logout", POST, Program, token_api::logout).token_api(),
        row("/api/auth/me", GET, Bearer, token_api::me).token_api(),
        row("/api/auth/introspect", POST, Program, token_api::introspect).token_api(),
        row("/healthz", GET, Anyone, token_api::healthz)
            .token_api()
            .quiet(),
        // Operation
        row("/-/health/live/", GET, Anyone, operation::live).quiet(),
        row("/-/health/ready/", GET, Anyone, operation::ready).quiet(),
        row("/-/metrics", GET, Operator, operation::metrics).quiet(),
        row("/version", GET, Anyone, operation::version),
        row("/static/{file}", GET, Anyone, operation::asset).quiet(),
        row("/robots.txt", GET, Anyone, operation::robots).quiet(),
        row("/favicon.ico", GET, Anyone, operation::favicon).quiet(),
    ]
}

/// The map as data, for the matrix test and the reference.
#[must_use]
pub fn routes() -> Vec<Route> {
    table().into_iter().map(|row| row.route).collect()
}

/// Name of the event that a finished request is.
pub const REQUEST_EVENT: &str = "request";

/// Everything that is said about a route while it works.
pub(crate) struct Stats {
    route: &'static str,
    quiet: bool,
    /// HEAD does no work: link scanners ask with a person's cookies.
    idle_head: bool,
    app: App,
    latency: Histogram,
    classes: [Counter; 5],
}

/// A request under way.
pub(crate) struct Begun {
    at: u64,
    method: Method,
    /// Who asks, when a line is going to say so.
    client: Option<IpAddr>,
}

impl Stats {
    fn new(route: &'static str, quiet: bool, caller: Caller, app: &App) -> Arc<Self> {
        let metrics = app.doorward.metrics();
        let class = |status: &str| {
            let labels = RequestLabels {
                route: route.to_owned(),
                status: status.to_owned(),
            };
            metrics.requests.get_or_create(&labels).clone()
        };
        let label = RouteLabel {
            route: route.to_owned(),
        };
        Arc::new(Self {
            route,
            quiet,
            idle_head: matches!(caller, Caller::Browser | Caller::Person | Caller::LinkHolder),
            app: app.clone(),
            latency: metrics.latency.get_or_create(&label).clone(),
            classes: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
        })
    }

    /// Notes when a request came and from where.
    pub(crate) fn begin(&self, method: &Method, headers: &HeaderMap, peer: impl FnOnce() -> IpAddr) -> Begun {
        let wanted = if self.quiet { Level::DEBUG } else { Level::INFO };
        let client = (wanted <= tracing::level_filters::LevelFilter::current())
            .then(|| forwarded::client_ip(peer(), headers, &*self.app.options.trusts));
        Begun {
            at: self.app.doorward.monotonic_micros(),
            method: method.clone(),
            client,
        }
    }

    /// Measures, logs, and sets the headers that every answer has.
    pub(crate) fn end<B>(&self, begun: &Begun, response: &mut http::Response<B>) {
        self.count(begun, response);
        // A service behind the reverse proxy speaks for itself.
        if response.extensions().get::<Passed>().is_none() {
            self.app.dress.put_on(response.headers_mut());
        }
    }

    /// Measures and logs.
    pub(crate) fn count<B>(&self, begun: &Begun, response: &http::Response<B>) {
        let micros = self.app.doorward.monotonic_micros().saturating_sub(begun.at);
        let status = response.status().as_u16();
        if let Some(counter) = usize::from(status / 100)
            .checked_sub(1)
            .and_then(|class| self.classes.get(class))
        {
            counter.inc();
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "microseconds of a request fit a double exactly"
        )]
        self.latency.observe(micros as f64 / 1_000_000.0);
        if let Some(client) = begun.client {
            let (route, method, client) = (self.route, &begun.method, Written(client));
            let code = response.extensions().get::<Noted>().map(|noted| noted.0.as_str());
            if self.quiet {
                tracing::debug!(name: REQUEST_EVENT, route, %method, status, micros, %client, code, "request");
            } else {
                tracing::info!(name: REQUEST_EVENT, route, %method, status, micros, %client, code, "request");
            }
        }
    }
}

/// Header that says which build answered.
const VERSION: HeaderName = HeaderName::from_static("x-doorward-version");

/// The headers that every answer of ours has.
#[derive(Clone)]
pub(crate) struct Dress {
    secure: bool,
    version: HeaderValue,
}

impl Dress {
    /// `secure`: we are reached by https.
    pub(crate) fn new(secure: bool, build: &BuildInfo) -> Self {
        let version =
            HeaderValue::try_from(build.word()).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Self { secure, version }
    }

    /// Which build we are.
    pub(crate) fn version(&self) -> &str {
        self.version.to_str().unwrap_or_default()
    }

    /// Sets them.
    pub(crate) fn put_on(&self, headers: &mut HeaderMap) {
        let fixed: [(HeaderName, &'static str); 3] = [
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (X_FRAME_OPTIONS, "DENY"),
            (REFERRER_POLICY, "same-origin"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.secure {
            headers.insert(
                STRICT_TRANSPORT_SECURITY,
                HeaderValue::from_static("max-age=31536000"),
            );
        }
        headers.insert(VERSION, self.version.clone());
    }
}

/// The service for all routes.
pub fn router(doorward: Doorward, options: Options) -> Service {
    build(App::new(doorward, options), |_| true)
}

/// The service of a separate listener for the token API: nothing else is there, and what is not says so as JSON.
pub fn token_router(doorward: Doorward, options: Options, private: bool) -> Service {
    let app = App::at(doorward, options, private);
    let wanted = |route: &Route| route.token_api || matches!(route.path, "/version" | "/application/o/jwks/");
    let (router, _) = rows(&app, wanted);
    let stats = Stats::new("unknown", false, Caller::Anyone, &app);
    let rest = axum::routing::any(token_api::nothing).layer(middleware::from_fn_with_state(stats, observe));
    let router = router
        .fallback_service(rest.with_state(app.clone()))
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(app);
    Service::from(router)
}

/// The service of a separate listener for metrics and health.
pub fn operation_router(doorward: Doorward, options: Options) -> Service {
    build(App::new(doorward, options), |route| {
        route.path.starts_with("/-/") || route.path == "/version"
    })
}

/// The rows that are wanted. Those of the token API are there only while it is on: otherwise its paths are like any others.
fn rows(app: &App, wanted: impl Fn(&Route) -> bool) -> (Router<App>, Lanes) {
    let mut router = Router::new();
    let mut lanes = Lanes::new(app.clone());
    let on = app.doorward.token_api().is_some();
    let there = |route: &Route| (on || !route.token_api) && wanted(route);
    for row in table().into_iter().filter(|row| there(&row.route)) {
        let Row { route, serves, lane } = row;
        let stats = Stats::new(route.path, route.quiet, route.caller, app);
        let row = (Arc::clone(&stats), lane);
        let serves = serves.layer(middleware::from_fn_with_state(stats, observe));
        // A path that ends with a slash is served without it as well: clients are careless, and a redirect would lose a POST.
        let bare = route
            .path
            .strip_suffix('/')
            .filter(|bare| !bare.is_empty() && !twice(bare));
        if let Some(bare) = bare {
            router = router.route(bare, serves.clone());
            lanes.add(bare, &row);
        }
        router = router.route(route.path, serves);
        lanes.add(route.path, &row);
    }
    (router, lanes)
}

fn build(app: App, wanted: impl Fn(&Route) -> bool) -> Service {
    let (router, lanes) = rows(&app, wanted);
    let stats = Stats::new("unknown", false, Caller::Anyone, &app);
    let fallback =
        axum::routing::any(operation::nothing).layer(middleware::from_fn_with_state(stats, observe));
    let router = router
        .fallback_service(fallback.with_state(app.clone()))
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(app.clone());
    let stats = Stats::new("forwarded", false, Caller::Anyone, &app);
    let forward =
        axum::routing::any(forwarding::forward).layer(middleware::from_fn_with_state(stats, observe));
    let forwards = Router::new()
        .fallback_service(forward.with_state(app))
        .layer(CatchPanicLayer::custom(panicked));
    Service::new(router, forwards, lanes)
}

/// Paths of the table that are listed with and without the slash.
fn twice(bare: &str) -> bool {
    bare.starts_with("/.well-known/")
}

pub(crate) fn panicked(_cause: Box<dyn std::any::Any + Send + 'static>) -> http::Response<Body> {
    tracing::error!("a handler panicked; the request was answered with 500");
    Reply::bytes(
        StatusCode::INTERNAL_SERVER_ERROR,
        "application/json",
        "{\"error\":\"server_error\"}",
    )
    .into_response()
}

/// What a row says about a request that goes through the router.
async fn observe(State(stats): State<Arc<Stats>>, request: Request, next: Next) -> Response {
    let peer = || forwarded::peer(request.extensions());
    let begun = stats.begin(request.method(), request.headers(), peer);
    let mut response = if stats.idle_head && request.method() == Method::HEAD {
        Reply::page(StatusCode::OK, String::new(), Forms::Here).into_response()
    } else {
        next.run(request).await
    };
    stats.end(&begun, &mut response);
    response
}
