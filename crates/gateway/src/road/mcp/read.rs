//! Vectors of what tools say of themselves, by the model that ships.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pointsman_mcp::search::vectors::Reader;
use pointsman_understanding::{Nobody, SHIPPED, Understanding};

struct Shipped(Arc<Understanding>);

/// Who makes vectors of tools and of what is searched for.
pub fn tool_reader(understanding: &Arc<Understanding>) -> Arc<dyn Reader> {
    Arc::new(Shipped(Arc::clone(understanding)))
}

impl Reader for Shipped {
    fn read(&self, texts: Vec<Arc<str>>) -> BoxFuture<'_, Option<Vec<Vec<f32>>>> {
        let count = texts.len();
        async move {
            match self.0.embed(SHIPPED.name, texts, None, &Nobody).await {
                Ok(read) if read.vectors.len() == count => Some(read.vectors),
                Ok(_) => None,
                Err(error) => {
                    tracing::warn!(%error, "tools could not be read: they are found by their words");
                    None
                }
            }
        }
        .boxed()
    }
}
