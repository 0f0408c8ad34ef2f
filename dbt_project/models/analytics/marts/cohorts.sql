with members as (

    select * from {{ ref('stg_analytics__members') }}

),

lifetimes as (

    select
        pseudonym,
        registered_month,
        greatest(date_diff('month', registered_month, last_active_month), 0) as months_active
    from members

),

-- of each cohort, for how many members a month was the last one in which they did anything
last_months as (

    select
        registered_month,
        months_active,
        count(pseudonym) as left_count
    from lifetimes
    group by registered_month, months_active

),

counted as (

    select
        registered_month,
        months_active,
        left_count,
        sum(left_count) over (partition by registered_month)::bigint as cohort_count,
        sum(left_count) over (partition by registered_month order by months_active desc)::bigint as member_count,
        lag(left_count) over (partition by registered_month order by months_active asc) as left_before,
        lag(months_active) over (partition by registered_month order by months_active asc) as months_before
    from last_months

),

-- C-10.7: two figures of a cohort that differ by fewer than a cell of members would tell of those few. Shown are the
-- whole cohort, what differs from both of its neighbours by a cell or more, and beside them one for each second cell of
-- members that left: no two of those are closer than a cell, either
judged as (

    select
        registered_month,
        months_active,
        months_before,
        cohort_count,
        member_count,
        member_count = cohort_count as is_whole,
        left_count >= {{ cell() }} and coalesce(left_before, {{ cell() }}) >= {{ cell() }} as is_apart,
        (cohort_count - member_count) // {{ cell() }} % 2 = 1 and row_number() over (
            partition by registered_month, (cohort_count - member_count) // {{ cell() }}
            order by months_active asc
        ) = 1 as is_chosen
    from counted

),

numbers as (

    select months_since from generate_series(0, 600) as series (months_since)

),

-- a figure holds for each month since the one before it in which somebody did something last
cohorts as (

    select
        judged.registered_month,
        numbers.months_since,
        judged.cohort_count,
        judged.member_count,
        round(judged.member_count / judged.cohort_count, 4) as active_share
    from judged
    inner join numbers
        on judged.months_active >= numbers.months_since and numbers.months_since > coalesce(judged.months_before, -1)
    where judged.member_count >= {{ cell() }} and (judged.is_whole or judged.is_apart or judged.is_chosen)

)

select * from cohorts
