//! The query of a page of a list, for each database.

/// Defines `listing(filter, page)` for one of Diesel's backends: a range of the index `orders_by_owner`, or with a status of
/// `orders_by_owner_and_status`, read in its order. It asks for one order more than the page has, which tells whether there is
/// a next page.
///
/// Why a macro: in a function that is generic over backends, each of the conditions would need a bound of its own.
///
/// Why not `(created_at, id) < (?, ?)`: Diesel has no row values. `created_at <= ?` bounds the range nevertheless, and
/// the other condition skips at most the orders that were created at the same time.
macro_rules! listing_for {
    ($backend:ty) => {
        type Listing = ::diesel::dsl::IntoBoxed<
            'static,
            ::diesel::dsl::Select<
                $crate::store::schema::orders::table,
                ::diesel::dsl::AsSelect<$crate::store::schema::OrderRow, $backend>,
            >,
            $backend,
        >;

        fn listing(filter: $crate::domain::Filter, page: $crate::domain::PageRequest) -> Listing {
            use ::diesel::prelude::*;
            use $crate::store::schema::{OrderRow, orders};

            let newest_first = (orders::created_at.desc(), orders::id.desc());
            let limit = i64::try_from(page.limit).unwrap_or(i64::MAX).saturating_add(1);
            let all = orders::table.select(OrderRow::as_select()).into_boxed();
            let mut listing = all.filter(orders::created_by.eq(filter.owner.0)).order(newest_first).limit(limit);
            if let Some(status) = filter.status {
                listing = listing.filter(orders::status.eq(status.name()));
            }
            if let Some(time) = filter.created_after {
                listing = listing.filter(orders::created_at.gt(time.unix_micros()));
            }
            if let Some(time) = filter.created_before {
                listing = listing.filter(orders::created_at.lt(time.unix_micros()));
            }
            if let Some(after) = page.after {
                let micros = after.created_at.unix_micros();
                listing = listing
                    .filter(orders::created_at.le(micros))
                    .filter(orders::created_at.lt(micros).or(orders::id.lt(after.id.0)));
            }
            listing
        }
    };
}
pub(super) use listing_for;
