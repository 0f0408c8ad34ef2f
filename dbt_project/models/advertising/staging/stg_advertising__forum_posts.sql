with source as (

    select * from {{ source('advertising', 'forum_posts') }}

),

renamed as (

    select
        pseudonym,
        forum_category,
        paris_day as posted_on,
        ends_on
    from source
    where pseudonym is not null and {{ alive('ends_on') }}

)

select * from renamed
