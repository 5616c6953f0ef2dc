//! `litellm_params` of a deployment, with what its named credential says.

use crate::source::Item;

/// Settings of a deployment.
#[derive(Clone, Copy)]
pub(super) struct Params<'a> {
    pub(super) own: &'a Item,
    pub(super) credential: Option<&'a Item>,
}

impl<'a> Params<'a> {
    /// A setting, unless it is nothing.
    pub(super) fn get(&self, key: &str) -> Option<&'a Item> {
        let places = [Some(self.own), self.credential];
        places.into_iter().flatten().find_map(|place| {
            let item = place.get(key)?;
            if item.is_nothing() {
                item.accept();
                return None;
            }
            Some(item)
        })
    }

    /// The first of several settings that is there.
    pub(super) fn any(&self, keys: &[&str]) -> Option<&'a Item> {
        keys.iter().find_map(|key| self.get(key))
    }
}
