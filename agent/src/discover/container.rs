//! What the path of a container's log says of the container.

use std::path::Path;

/// The names of all that may be known.
pub const CONTAINER_FIELDS: [&str; 5] = ["namespace", "pod", "pod_uid", "container", "container_id"];

/// Names and values, of whatever is known by the path: of `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/0.log`, of
/// `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log`, or of `/var/lib/docker/containers/ID/ID-json.log`.
#[must_use]
pub fn container_of(path: &Path) -> Vec<(&'static str, &str)> {
    of_pod(path)
        .or_else(|| of_link(path))
        .or_else(|| of_docker(path))
        .unwrap_or_default()
}

fn of_pod(path: &Path) -> Option<Vec<(&'static str, &str)>> {
    let container = name(path.parent()?)?;
    let mut parts = name(path.parent()?.parent()?)?.splitn(3, '_');
    let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
    Some(vec![
        ("namespace", namespace),
        ("pod", pod),
        ("pod_uid", uid),
        ("container", container),
    ])
}

fn of_link(path: &Path) -> Option<Vec<(&'static str, &str)>> {
    let mut parts = name(path)?.strip_suffix(".log")?.splitn(3, '_');
    let (pod, namespace, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (container, id) = rest.rsplit_once('-').filter(|(_, id)| is_id(id))?;
    Some(vec![
        ("namespace", namespace),
        ("pod", pod),
        ("container", container),
        ("container_id", id),
    ])
}

fn of_docker(path: &Path) -> Option<Vec<(&'static str, &str)>> {
    let id = name(path)?.strip_suffix("-json.log").filter(|id| is_id(id))?;
    Some(vec![("container_id", id)])
}

fn is_id(text: &str) -> bool {
    const LEN: usize = 64;
    text.len() == LEN && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_says() {
        let id = "0123456789abcdef".repeat(4);
        let link = format!("/var/log/containers/web-7d4b_shop_nginx-proxy-{id}.log");
        let docker = format!("/var/lib/docker/containers/{id}/{id}-json.log");
        let cases: [(&str, &[(&str, &str)]); 5] = [
            (
                "/var/log/pods/shop_web-7d4b_9f1e-22/nginx/0.log",
                &[
                    ("namespace", "shop"),
                    ("pod", "web-7d4b"),
                    ("pod_uid", "9f1e-22"),
                    ("container", "nginx"),
                ],
            ),
            (
                &link,
                &[
                    ("namespace", "shop"),
                    ("pod", "web-7d4b"),
                    ("container", "nginx-proxy"),
                    ("container_id", &id),
                ],
            ),
            (&docker, &[("container_id", &id)]),
            ("/var/log/containers/web_shop_nginx-1.log", &[]),
            ("/0.log", &[]),
        ];
        for (path, expected) in cases {
            assert_eq!(container_of(Path::new(path)), expected, "{path}");
        }
    }
}
