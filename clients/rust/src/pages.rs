//! Lists that come in pages.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::error::Result;

/// The size of a page as it is sent. One that is too large for that is too large for every gateway.
pub(crate) fn number(page_size: Option<u32>) -> i32 {
    page_size.map_or(0, |size| size.try_into().unwrap_or(i32::MAX))
}

/// All items of all pages; each page is fetched when its first item is asked for. After an error nothing comes.
#[must_use = "nothing is fetched before the pages are read"]
pub struct Pages<T> {
    items: Pin<Box<dyn Stream<Item = Result<T>> + Send>>,
}

impl<T: Send + 'static> Pages<T> {
    /// Takes the function from the token of a page, at first "", to its items and the next token, "" at the end.
    pub(crate) fn new<F>(fetch: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(Vec<T>, String)>> + Send + 'static,
    {
        let pages = stream::try_unfold((fetch, Some(String::new())), |(fetch, token)| async move {
            let Some(token) = token else { return Ok(None) };
            let (items, next) = fetch(token).await?;
            let next = Some(next).filter(|token| !token.is_empty());
            Ok(Some((stream::iter(items.into_iter().map(Ok)), (fetch, next))))
        });
        Self { items: Box::pin(pages.try_flatten()) }
    }

    /// Returns the next item, or `None` after the last.
    ///
    /// # Errors
    ///
    /// The request of a page failed.
    pub async fn next(&mut self) -> Option<Result<T>> {
        self.items.next().await
    }

    /// Returns all items that are left.
    ///
    /// # Errors
    ///
    /// The request of a page failed.
    pub async fn all(self) -> Result<Vec<T>> {
        self.items.try_collect().await
    }
}

impl<T> Stream for Pages<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.as_mut().poll_next(context)
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_empty_page_is_not_the_end() {
        let pages = Pages::new(|token| async move {
            Ok(match token.as_str() {
                "" => (vec![1, 2], "a".to_owned()),
                "a" => (vec![], "b".to_owned()),
                _ => (vec![3], String::new()),
            })
        });
        assert_eq!(pages.all().await.unwrap(), [1, 2, 3]);
    }
}
