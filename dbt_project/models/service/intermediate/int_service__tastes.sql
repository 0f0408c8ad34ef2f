with purchases as (

    select * from {{ ref('int_service__purchases') }}

),

size_counts as (

    select
        pseudonym,
        size,
        count(started_on) as purchase_count
    from purchases
    where size is not null
    group by pseudonym, size

),

-- equal counts are decided by name, so that the same facts always give the same row
favourite_sizes as (

    select
        pseudonym,
        size as favourite_size
    from size_counts
    qualify row_number() over (partition by pseudonym order by purchase_count desc, size asc) = 1

),

category_counts as (

    select
        pseudonym,
        item_category,
        count(started_on) as purchase_count
    from purchases
    group by pseudonym, item_category

),

ranked_categories as (

    select
        pseudonym,
        item_category,
        row_number() over (partition by pseudonym order by purchase_count desc, item_category asc) as place
    from category_counts

),

favourite_categories as (

    select
        pseudonym,
        max(case when place = 1 then item_category end) as favourite_item_category,
        max(case when place = 2 then item_category end) as second_item_category
    from ranked_categories
    group by pseudonym

),

totals as (

    select
        pseudonym,
        median(price_eur) as median_price_eur,
        min(ends_on) as ends_on
    from purchases
    group by pseudonym

),

tastes as (

    select
        totals.pseudonym,
        favourite_sizes.favourite_size,
        favourite_categories.favourite_item_category,
        favourite_categories.second_item_category,
        totals.ends_on,
        case
            when totals.median_price_eur < 10 then 'under 10'
            when totals.median_price_eur < 25 then '10-25'
            when totals.median_price_eur < 50 then '25-50'
            when totals.median_price_eur < 100 then '50-100'
            else '100 and more'
        end as price_band
    from totals
    left join favourite_sizes on totals.pseudonym = favourite_sizes.pseudonym
    left join favourite_categories on totals.pseudonym = favourite_categories.pseudonym

)

select * from tastes
