//! What can be asked of an appliance and what it answers, free of HTTP.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use model::digest::Sha256Hex;
use model::names::{FetchKey, SlotKey};
use model::observed::{ClusterNode, FetchJob, Slot};

use crate::spec::HealthSpec;

/// A request, already understood.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Setup,
    LoginMethods,
    Login {
        user: String,
        password: String,
    },
    Info,
    UserInfo,
    Firmware,
    Slots,
    Slot(SlotKey),
    DeleteSlot(SlotKey),
    StartFetch {
        url: Option<String>,
        sha256: Option<Result<Sha256Hex, String>>,
    },
    FetchJobs,
    FetchJob(FetchKey),
    DeleteFetch(FetchKey),
    Upload(Received),
    Test {
        slot: Option<SlotKey>,
    },
    Upgrade {
        slot: Option<SlotKey>,
        message: Message,
    },
    Health,
    ClusterStatus,
    Transaction,
    WebInterface,
    StartBundle,
    Bundle(String),
    DownloadBundle(String),
    DeleteBundle(String),
    /// A path or method that there is not, or a body that is no JSON.
    Wrong {
        method: Cow<'static, str>,
        path: String,
        refusal: Refusal,
    },
}

/// An upload that has arrived in whole.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) bytes: u64,
    pub(crate) version: Option<String>,
    /// When its first byte came, for the session's idle limit.
    pub(crate) arrived: std::time::Duration,
}

/// The `message` of an upgrade call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Absent,
    Null,
    Text(String),
}

impl Call {
    pub(crate) fn method(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::DeleteSlot(_) | Self::DeleteFetch(_) | Self::DeleteBundle(_) => "DELETE",
            Self::StartFetch { .. }
            | Self::Upload(_)
            | Self::Test { .. }
            | Self::Upgrade { .. }
            | Self::StartBundle => "POST",
            Self::Wrong { method, .. } => return method.clone(),
            _ => "GET",
        })
    }

    pub(crate) fn path(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Setup => "/api/setup",
            Self::LoginMethods => "/api/authentication/login_methods",
            Self::Login { .. } => "/api/authentication",
            Self::Info => "/api/info",
            Self::UserInfo => "/api/user_info",
            Self::Firmware => "/api/firmware",
            Self::Slots => "/api/firmware/slots",
            Self::Slot(key) | Self::DeleteSlot(key) => {
                return Cow::Owned(format!("/api/firmware/slots/{key}"));
            }
            Self::StartFetch { .. } | Self::FetchJobs => "/api/firmware/fetch",
            Self::FetchJob(key) | Self::DeleteFetch(key) => {
                return Cow::Owned(format!("/api/firmware/fetch/{key}"));
            }
            Self::Upload(_) => "/api/upload/firmware",
            Self::Test { .. } => "/api/firmware/test",
            Self::Upgrade { .. } => "/api/firmware/upgrade",
            Self::Health => "/api/health_status",
            Self::ClusterStatus => "/api/cluster/status",
            Self::Transaction => "/api/transaction",
            Self::WebInterface => "/api/configuration/management/webinterface",
            Self::StartBundle => "/api/troubleshooting/support-bundle",
            Self::Bundle(key) | Self::DeleteBundle(key) => {
                return Cow::Owned(format!("/api/troubleshooting/support-bundle/{key}"));
            }
            Self::DownloadBundle(key) => {
                return Cow::Owned(format!("/api/troubleshooting/support-bundle/{key}/download"));
            }
            Self::Wrong { path, .. } => return Cow::Owned(path.clone()),
        })
    }

    /// Whether it takes time, so that it must go on when the caller hangs up.
    pub(crate) fn is_slow(&self) -> bool {
        matches!(self, Self::Test { .. } | Self::Upgrade { .. } | Self::Upload(_))
    }

    /// Whether it is meant to change the appliance (a firmware test is not).
    pub(crate) fn changes(&self) -> bool {
        !matches!(self.method().as_ref(), "GET" | "HEAD") && !matches!(self, Self::Test { .. })
    }
}

/// A good answer.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Setup {
        completed: bool,
    },
    LoginMethods,
    Session {
        id: String,
    },
    Info(InfoReply),
    UserInfo {
        user: Arc<str>,
        token: String,
        new_shape: bool,
    },
    Firmware {
        fetch: bool,
    },
    Slots(Vec<Slot>),
    Slot(Slot),
    Deleted,
    FetchStarted(FetchKey),
    Jobs(Vec<JobView>),
    Job(JobView),
    Uploaded {
        slot: Slot,
        empty: usize,
    },
    Tested {
        slot: SlotKey,
        summary: String,
    },
    Upgraded {
        slot: SlotKey,
        summary: String,
    },
    Health {
        spec: HealthSpec,
        ha_other: Option<u64>,
    },
    Cluster(Vec<ClusterNode>),
    Transaction,
    WebInterface {
        minutes: u64,
    },
    Bundle {
        key: String,
        finished: bool,
    },
    BundleContent(bytes::Bytes),
    /// Whether a node has power.
    Power(model::ports::PowerState),
    /// A power act was accepted.
    PowerTaken,
}

/// What `/api/info` says.
#[derive(Debug, Clone)]
pub(crate) struct InfoReply {
    pub(crate) hostname: String,
    /// Version and roles; only for who is logged in.
    pub(crate) inside: Option<(String, Vec<String>)>,
}

/// A fetch job and what the model does not carry.
#[derive(Debug, Clone)]
pub(crate) struct JobView {
    pub(crate) job: FetchJob,
    pub(crate) start_time: Option<Timestamp>,
    pub(crate) cancelled_word: &'static str,
}

/// An answer with `error`; the appliance did not act.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) message: Cow<'static, str>,
    pub(crate) details: Details,
}

/// `error.details`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Details {
    None,
    Attempted(String),
    Missing(Vec<&'static str>),
    Resource { mount_point: &'static str, resource: String },
    Test { exit_code: i32, summary: String },
}

impl Refusal {
    pub(crate) fn unauthenticated(path: &str) -> Self {
        Self {
            status: 401,
            kind: "Unauthenticated",
            message: "Authentication is needed".into(),
            details: Details::Attempted(path.to_owned()),
        }
    }

    pub(crate) fn unauthorized(path: &str) -> Self {
        Self {
            status: 403,
            kind: "Unauthorized",
            message: "You are not allowed to do this".into(),
            details: Details::Attempted(path.to_owned()),
        }
    }

    pub(crate) fn login() -> Self {
        Self {
            status: 401,
            kind: "AuthenticationFailure",
            message: "Unable to authenticate".into(),
            details: Details::None,
        }
    }

    pub(crate) fn not_found(status: u16, mount_point: &'static str, resource: &str) -> Self {
        Self {
            status,
            kind: "ResourceNotFound",
            message: "Resource was not found".into(),
            details: Details::Resource { mount_point, resource: resource.to_owned() },
        }
    }

    pub(crate) fn incomplete(status: u16, missing: Vec<&'static str>) -> Self {
        Self {
            status,
            kind: "IncompleteRequestBodyError",
            message: "Some paths were missing from the request body".into(),
            details: Details::Missing(missing),
        }
    }

    pub(crate) fn plain(status: u16, kind: &'static str, message: &'static str) -> Self {
        Self { status, kind, message: message.into(), details: Details::None }
    }
}
