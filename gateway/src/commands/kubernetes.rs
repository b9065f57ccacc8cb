//! Creates Secrets through the API of the Kubernetes cluster in which this process runs as a pod.
//!
//! It only ever creates. The API itself refuses a Secret that exists, so that the service account of the pod needs no right
//! to read a Secret, and none to change one.

use std::{path::Path, time::Duration};

use awc::{Client, Connector};
use base64::{Engine, engine::general_purpose::STANDARD};
use chassis::config::{Secret, environment};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::{
    tls::client::UpstreamTlsSettings,
    upstream::wire::connect::{self, UpstreamTls},
};

/// Maximum size of an answer: 64 KiB. One about a Secret with one key has about 1 KiB.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Maximum number of characters of the reason that the API gives.
const REASON_CHARS_MAX: usize = 500;

/// Whether a Secret was created, or existed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creation {
    Created,
    Existed,
}

/// The API of the cluster, as the service account of this pod may use it.
pub(crate) struct Cluster {
    client: Client,
    /// Address of the API, such as `10.96.0.1:443`.
    authority: String,
    namespace: String,
    token: Secret,
    /// Maximum time from connecting to the last byte of an answer.
    timeout: Duration,
}

/// How the API describes an error.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    reason: String,
    message: String,
}

impl Cluster {
    /// Finds the API by the variables and the files that Kubernetes gives to a pod: `token`, `ca.crt` and `namespace` in the
    /// folder `service_account`. The API is at an address, so that no DNS is needed.
    ///
    /// # Errors
    /// Names the variable or file that is missing, as outside of a cluster.
    pub(crate) fn of_pod(service_account: &Path, timeout: Duration) -> Result<Self, String> {
        let variable =
            |name: &str| environment(name).ok_or_else(|| format!("{name} is not set: this is not a pod of Kubernetes"));
        let file = |name: &str| Secret::from_file(&service_account.join(name));
        let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
        let tls = UpstreamTlsSettings { ca: Some(service_account.join("ca.crt")), ..UpstreamTlsSettings::default() };
        // As for upstreams, and unlike the one of awc, this connector can verify the certificate of an IPv6 address.
        let connector = connect::connector(Some(UpstreamTls::load(&tls)?));
        let connector = Connector::new().connector(connector).timeout(timeout);
        let client = Client::builder().connector(connector).disable_redirects().disable_timeout().finish();
        Ok(Self {
            client,
            authority: if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") },
            namespace: file("namespace")?.expose().trim().to_owned(),
            token: file("token")?,
            timeout,
        })
    }

    /// Creates a Secret with one key, unless there is a Secret of this name.
    ///
    /// # Errors
    /// Says what the API answered, or why it could not be asked; never what the Secret contains.
    pub(crate) async fn create_secret(
        &self,
        name: &str,
        labels: &Map<String, Value>,
        (key, value): (&str, &str),
    ) -> Result<Creation, String> {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": name, "labels": labels},
            "data": {key: STANDARD.encode(value)},
        });
        let (code, body) = timeout(self.timeout, self.post(&secret))
            .await
            .map_err(|_| format!("the API at {} did not answer in {:?}", self.authority, self.timeout))?
            .map_err(|error| format!("the API at {} cannot be asked: {error}", self.authority))?;
        let status: Status = serde_json::from_slice(&body).unwrap_or_default();
        match code {
            201 => Ok(Creation::Created),
            // With another reason it is a conflict about something else, such as the quota of the namespace.
            409 if status.reason == "AlreadyExists" => Ok(Creation::Existed),
            _ => Err(format!("Secret {name}: the API answered {code}: {}", status.explanation())),
        }
    }

    async fn post(&self, secret: &Value) -> Result<(u16, Vec<u8>), String> {
        // `http`, because the connector speaks TLS below awc.
        let url = format!("http://{}/api/v1/namespaces/{}/secrets", self.authority, self.namespace);
        let request = self.client.post(url).bearer_auth(self.token.expose()).force_close();
        let mut answer = request.send_json(secret).await.map_err(|error| error.to_string())?;
        let body = answer.body().limit(ANSWER_BYTES_MAX).await.map_err(|error| error.to_string())?;
        Ok((answer.status().as_u16(), body.to_vec()))
    }
}

impl Status {
    fn explanation(&self) -> String {
        match self.message.as_str() {
            "" => "it gives no reason".to_owned(),
            message => message.chars().take(REASON_CHARS_MAX).collect(),
        }
    }
}
