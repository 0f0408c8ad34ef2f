with access_logs as (

    select * from {{ ref('stg_analytics__access_logs') }}

),

-- rows are counted by their day, which is never empty: count(*) would show lineage no dataset
log_activity as (

    select
        pseudonym,
        count(requested_on) as log_request_count_30d,
        min(ends_on) as ends_on
    from access_logs
    group by pseudonym

)

select * from log_activity
